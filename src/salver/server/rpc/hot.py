"""A plain ModelInfer: read, asked and answered on the event loop, without a task, a stream and a future of its own.

Plain is one whose message is small, not compressed, and there. Whatever else there is goes to grpclib.
"""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING, Any

from salver.engine.batch import Batch
from salver.engine.request import Request
from salver.errors import SalverError
from salver.server.access import Gate, Visit
from salver.server.problems import unexpected
from salver.server.protocols.codecs import Codecs
from salver.server.protocols.infer import Codec, Question
from salver.server.rpc import infer
from salver.server.rpc.heads import Head
from salver.server.rpc.messages import SERVICE, message, parsed
from salver.server.rpc.underway import Underway

if TYPE_CHECKING:
    from salver.server.rpc.processor import Processor

logger = logging.getLogger("salver")

TEMPLATE = "/v2/models/{model}/infer"
_PATH = f"/{SERVICE}/ModelInfer"
_TYPES = frozenset(("application/grpc", "application/grpc+proto"))
_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])")
_UNITS_NS = {"H": 3600 * 10**9, "M": 60 * 10**9, "S": 10**9, "m": 10**6, "u": 10**3, "n": 1}


class Call(Request):
    """One call in the engine's hands."""

    __slots__ = ("codec", "is_known", "message", "processor", "question", "stream_id")

    codec: Codec
    is_known: bool  # its stream is nobody's but the processor's: h2 was not told
    message: Any
    processor: Processor
    question: Question
    stream_id: int

    def answered(self, batch: Batch, start: int) -> None:
        try:
            answer = infer.write(self.codec, self.message, self.codec.answer(self.question, batch, start))
        except Exception as error:
            logger.exception("an answer could not be written")
            self.failed(unexpected(error))
            return
        if self.processor.forget(self):
            self.processor.answer(self, answer.SerializeToString())

    def failed(self, error: SalverError) -> None:
        if self.processor.forget(self):
            self.processor.refuse(self.stream_id, error, self.is_known)


class HotInfer:
    """Asks the engine for those calls."""

    def __init__(self, codecs: Codecs, gate: Gate, underway: Underway) -> None:
        self.gate = gate
        self.underway = underway
        self._codecs = codecs
        self._read = message("ModelInferRequest")

    def head(self, headers: dict[str, str]) -> Head | None:
        """What these say, where a call with them may be a plain one."""
        timeout = headers.get("grpc-timeout")
        timeout_ns = _timeout_ns(timeout) if timeout is not None else 0
        if (
            headers[":path"] != _PATH
            or headers[":method"] != "POST"
            or headers.get("content-type") not in _TYPES
            or headers.get("te") != "trailers"
            or headers.get("grpc-encoding", "identity") != "identity"
            or timeout_ns < 0
            or self.underway.draining
        ):
            return None
        return Head(headers, [(name.encode(), value.encode()) for name, value in headers.items()], timeout_ns)

    def ask(self, processor: Processor, stream_id: int, head: Head, content: bytes, is_known: bool) -> None:
        """Submit a call, or refuse it."""
        arrived_ns = time.perf_counter_ns()
        try:
            request = parsed(self._read, content)
            visit = Visit("POST", TEMPLATE, {"model": request.model_name}, processor.address)
            self.gate.count(self.gate.enter(head.shown, visit))
            codec = self._codecs.find(request.model_name, request.model_version, head.headers.get)
            codec.lane.require_room(len(content))
            question = infer.question(codec, request)
            if other := self._codecs.other(codec, request.model_version, question):
                codec, question = other, infer.question(other, request)
            call = Call(
                rows=question.rows,
                columns=question.columns,
                count=question.count,
                size_bytes=len(content),
                arrived_ns=arrived_ns,
                source="grpc",
            )
            call.codec, call.message, call.question = codec, request, question
            call.processor, call.stream_id, call.is_known = processor, stream_id, is_known
            if head.timeout_ns:
                call.deadline_ns = arrived_ns + head.timeout_ns
            codec.lane.submit(call)
            processor.keep(call)
        except SalverError as error:
            processor.refuse(stream_id, error, is_known)
        except Exception as error:
            logger.exception("ModelInfer failed")
            processor.refuse(stream_id, unexpected(error), is_known)


def _timeout_ns(given: str) -> int:
    """What `grpc-timeout` says, 1 at least; -1 for what is no timeout."""
    found = _TIMEOUT.fullmatch(given)
    return max(1, int(found[1]) * _UNITS_NS[found[2]]) if found else -1
