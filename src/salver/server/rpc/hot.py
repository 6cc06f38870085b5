"""A plain ModelInfer: read, asked and answered on the event loop, without a task, a stream and a future of its own.

Plain is one without a deadline whose message is small, not compressed, and there. Whatever else there is goes to grpclib.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from salver.engine.batch import Batch
from salver.engine.request import Request
from salver.errors import SalverError
from salver.server.access import Gate, Visit
from salver.server.problems import unexpected
from salver.server.protocols.codecs import Codecs
from salver.server.protocols.infer import Codec, Question
from salver.server.rpc import infer
from salver.server.rpc.messages import SERVICE, message, parsed
from salver.server.rpc.underway import Underway

if TYPE_CHECKING:
    from salver.server.rpc.port import Processor

logger = logging.getLogger("salver")

TEMPLATE = "/v2/models/{model}/infer"
_PATH = f"/{SERVICE}/ModelInfer"
_TYPES = frozenset(("application/grpc", "application/grpc+proto"))


class Call(Request):
    """One call in the engine's hands."""

    __slots__ = ("codec", "message", "processor", "question", "stream_id")

    codec: Codec
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
            self.processor.answer(self.stream_id, answer.SerializeToString())

    def failed(self, error: SalverError) -> None:
        if self.processor.forget(self):
            self.processor.refuse(self.stream_id, error)


class HotInfer:
    """Asks the engine for those calls."""

    def __init__(self, codecs: Codecs, gate: Gate, underway: Underway) -> None:
        self.gate = gate
        self.underway = underway
        self._codecs = codecs
        self._read = message("ModelInferRequest")

    def is_plain(self, headers: Mapping[str, str]) -> bool:
        """Whether a call with these headers may be one."""
        return (
            headers[":path"] == _PATH
            and headers[":method"] == "POST"
            and headers.get("content-type") in _TYPES
            and headers.get("te") == "trailers"
            and "grpc-timeout" not in headers
            and not self.underway.draining
        )

    def ask(self, processor: Processor, stream_id: int, headers: Mapping[str, str], content: bytes) -> None:
        """Submit a call, or refuse it."""
        arrived_ns = time.perf_counter_ns()
        try:
            request = parsed(self._read, content)
            self._enter(processor.address, headers, request.model_name)
            codec = self._codecs.find(request.model_name, request.model_version, headers.get)
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
            call.processor, call.stream_id = processor, stream_id
            codec.lane.submit(call)
            processor.keep(call)
        except SalverError as error:
            processor.refuse(stream_id, error)
        except Exception as error:
            logger.exception("ModelInfer failed")
            processor.refuse(stream_id, unexpected(error))

    def _enter(self, address: str, headers: Mapping[str, str], model: str) -> None:
        shown = [(name.encode(), value.encode()) for name, value in headers.items()]
        self.gate.count(self.gate.enter(shown, Visit("POST", TEMPLATE, {"model": model}, address)))
