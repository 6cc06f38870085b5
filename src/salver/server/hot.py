"""The hot path: a prediction without an ASGI scope, task or events, on uvicorn's own protocol class.

A POST to an inference route is *hot* when nothing about it is unusual: HTTP/1.1 kept alive, a plain body of known and
moderate length, no response of the connection still to come. Its request object stands in for uvicorn's own request cycle,
so pipelining, shutdown, timeouts and lost connections remain uvicorn's business. Everything else goes to the ASGI app.

A client on a kept-alive connection sends the same head again and again. The second time the same bytes arrive, the parser
would say the same as the first time, so it is not asked: `heads` remembers what it said.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from salver.engine.engine import Engine
from salver.engine.lane import Batch, Lane
from salver.engine.request import Request
from salver.errors import SalverError
from salver.server.predict import Codec, Question
from salver.server.problems import MEDIA_TYPE, headers_of, problem, status_of, unexpected
from salver.types.reference import Reference

BODY_BYTES = 64 * 1024
"""A larger body is read and answered by the ASGI app, off the event loop where it takes long."""

_HEADS = 1024
_HEAD_BYTES = 4096
_REASONS = {400: b"Bad Request", 404: b"Not Found", 413: b"Content Too Large", 422: b"Unprocessable Content"}
_REASONS |= {429: b"Too Many Requests", 500: b"Internal Server Error", 503: b"Service Unavailable"}
# A header that asks for something the hot path does not do.
_UNUSUAL = frozenset((b"transfer-encoding", b"content-encoding", b"expect", b"upgrade", b"server-timing"))


class _Unset:
    """Stands in for the asyncio.Event that a request cycle has and a hot one has no use for."""

    def set(self) -> None:
        pass


_NO_EVENT = _Unset()


class HotRoutes:
    """What every connection of a server shares: which targets are hot, and the heads that were seen."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.heads: dict[bytes, tuple[bytes, int]] = {}  # head → (target, length of the body)
        self._references: dict[bytes, Reference | None] = {b"/predict": None}
        self._codecs: dict[int, tuple[Lane, Codec]] = {}
        self._date: object = None
        self._start = b""

    def reference(self, target: bytes) -> tuple[bool, Reference | None]:
        """Whether a request target is an inference route, and the model it names."""
        try:
            return True, self._references[target]
        except KeyError:
            pass
        if not (target.startswith(b"/models/") and target.endswith(b"/predict")):
            return False, None
        try:
            reference = Reference.parse(target[len(b"/models/") : -len(b"/predict")].decode("ascii"))
        except (SalverError, UnicodeDecodeError):
            return False, None  # the ASGI app says what is wrong with it
        if len(self._references) >= _HEADS:
            self._references = {b"/predict": None}
        self._references[target] = reference
        return True, reference

    def codec(self, lane: Lane) -> Codec:
        """The codec of a lane's model, made once."""
        found = self._codecs.get(id(lane))
        if found is None or found[0] is not lane:
            if len(self._codecs) >= _HEADS:
                self._codecs.clear()
            found = self._codecs[id(lane)] = (lane, Codec(lane.model))
        return found[1]

    def learn(self, head: bytes, target: bytes, length: int) -> None:
        """Remember what the parser said of a head."""
        if len(self.heads) >= _HEADS:
            self.heads.clear()
        self.heads[head] = (target, length)

    def start_of_ok(self, default_headers: list[tuple[bytes, bytes]]) -> bytes:
        """Status line and headers up to the value of content-length; made anew when uvicorn's clock ticks."""
        if default_headers is not self._date:
            self._date = default_headers
            self._start = _start(b"200 OK", b"application/json", default_headers)
        return self._start


class HotRequest(Request):
    """A hot request. To uvicorn it looks like the request cycle of its connection."""

    __slots__ = (
        "body",
        "codec",
        "disconnected",
        "keep_alive",
        "message_event",
        "more_body",
        "protocol",
        "question",
        "response_complete",
        "target",
    )

    def __init__(self, protocol: HotProtocol, target: bytes) -> None:
        self.protocol = protocol
        self.target = target
        self.body = b""
        self.more_body = True
        self.keep_alive = True
        self.disconnected = False
        self.response_complete = False
        self.message_event = _NO_EVENT
        self.rows = self.columns = self.keys = self.trace = None
        self.source = "http"

    def gone(self) -> bool:
        return self.disconnected

    def answered(self, batch: Batch, start: int) -> None:
        try:
            body = self.codec.answer(self.question, batch, start)
        except Exception as error:
            self.protocol.logger.exception("an answer could not be written")
            self.failed(unexpected(error))
            return
        protocol = self.protocol
        head = protocol.routes.start_of_ok(protocol.server_state.default_headers)
        protocol.respond(self, b"%b%d\r\n\r\n%b" % (head, len(body), body))

    def failed(self, error: SalverError) -> None:
        status, body, protocol = status_of(error), problem(error), self.protocol
        more = [*protocol.server_state.default_headers]
        more += [(name.encode(), value.encode()) for name, value in headers_of(error).items()]
        head = _start(b"%d %b" % (status, _REASONS.get(status, b"Error")), MEDIA_TYPE.encode(), more)
        protocol.respond(self, b"%b%d\r\n\r\n%b" % (head, len(body), body))


class HotProtocol(HttpToolsProtocol):
    """One connection. `cycle` is a HotRequest while a hot one is in flight."""

    def __init__(
        self,
        routes: HotRoutes,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.routes = routes
        self._between = True  # the parser has read whole messages only
        self._head = b""  # of the message that begins with the data at hand
        self._active = False  # something was answered since the keep-alive timer last looked

    def data_received(self, data: bytes) -> None:
        self._head = b""
        if self._between and self._is_idle():
            end = data.find(b"\r\n\r\n") + 4
            head = data[:end]
            known = self.routes.heads.get(head)
            if known is None:
                if 4 < end <= _HEAD_BYTES:
                    self._head = head
            elif len(data) - end == known[1]:
                request = HotRequest(self, known[0])
                self.cycle = request  # type: ignore[assignment]
                request.body = data[end:]
                self._submit(request)
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._between = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if not self._is_idle() or not self._is_hot():
            self._head = b""
            super().on_headers_complete()
            return
        self.cycle = HotRequest(self, self.url)  # type: ignore[assignment]
        length = int(next(value for name, value in self.headers if name == b"content-length"))
        # Every line must end as HTTP says, or the head's bytes would not be all that the parser took for it.
        head, self._head = self._head, b""
        if head and head.count(b"\n") == head.count(b"\r") == head.count(b"\r\n"):
            self.routes.learn(head, self.url, length)

    def on_message_complete(self) -> None:
        self._between = True
        self._head = b""
        super().on_message_complete()
        request: Any = self.cycle
        if type(request) is HotRequest and not request.response_complete:
            self._submit(request)

    def respond(self, request: HotRequest, response: bytes) -> None:
        """Write a hot request's response and go on with the connection."""
        if request.response_complete:
            return
        request.response_complete = True
        if request.disconnected or self.transport.is_closing():
            self.server_state.total_requests += 1
            return
        if not request.keep_alive:
            self.transport.write(response.replace(b"\r\n", b"\r\nconnection: close\r\n", 1))
            self.transport.close()
            return
        self.transport.write(response)
        if self.pipeline:
            self.on_response_complete()
            return
        self.server_state.total_requests += 1
        self._active = True
        if self.timeout_keep_alive_task is None:
            self._wait_for_more()

    def timeout_keep_alive_handler(self) -> None:
        # One timer a connection, which looks whether anything happened, is cheaper than a timer a request.
        if self._active or not self._is_idle():
            self._active = False
            self._wait_for_more()
        else:
            super().timeout_keep_alive_handler()

    def _wait_for_more(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _is_hot(self) -> bool:
        parser = self.parser
        if parser.get_method() != b"POST" or not self.routes.reference(self.url)[0] or self.flow.write_paused:
            return False
        if parser.get_http_version() != "1.1" or not parser.should_keep_alive() or parser.should_upgrade():
            return False
        length = b""
        for name, value in self.headers:
            if name in _UNUSUAL:
                return False
            if name == b"content-length":
                length = value
        return length.isdigit() and 0 < int(length) <= BODY_BYTES

    def _submit(self, request: HotRequest) -> None:
        request.arrived_ns = time.perf_counter_ns()
        try:
            routes = self.routes
            lane = routes.engine.find(routes.reference(request.target)[1])
            request.codec = routes.codec(lane)
            try:
                question: Question = request.codec.question(request.body)
            except SalverError as error:
                lane.stats.errors[error.code] += 1
                raise
            request.question = question
            request.rows = question.rows
            request.keys = question.keys
            request.count = 1 if question.single else len(question.rows)
            request.size_bytes = len(request.body)
            lane.submit(request)
        except SalverError as error:
            request.failed(error)
        except Exception as error:
            self.logger.exception("a request could not be read")
            request.failed(unexpected(error))


def _start(status: bytes, media_type: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
    return b"HTTP/1.1 %b\r\ncontent-type: %b\r\n%bcontent-length: " % (status, media_type, lines)
