"""The hot path: a prediction without an ASGI scope, task or events, on uvicorn's own protocol class.

A POST to an inference route is *hot* when nothing about it is unusual: HTTP/1.1 kept alive, a plain body of known and
moderate length, no response of the connection still to come. Its request object stands in for uvicorn's own request cycle,
so pipelining, shutdown, timeouts and lost connections remain uvicorn's business. Everything else goes to the ASGI app.

A client on a kept-alive connection sends the same head again and again. The second time the same bytes arrive, the parser
would say the same as the first time, so it is not asked: `heads` remembers what it said.
"""

from __future__ import annotations

import asyncio
from time import perf_counter_ns
from typing import Any

from msgspec import MsgspecError
from uvicorn.config import Config
from uvicorn.server import ServerState

from salver.engine.batch import Batch
from salver.engine.request import Request
from salver.errors import Overloaded, SalverError
from salver.server.formats.media import TABLES
from salver.server.guarded import GuardedProtocol
from salver.server.hot_codec import HotCodec, Refusal, refusal_of
from salver.server.hot_routes import NOTHING, SHORT, HotRoutes, target_of
from salver.server.predict import PLAIN
from salver.server.problems import unexpected
from salver.server.protocols.v2_body import LENGTH_HEADER

_HEAD_BYTES = 4096
# A header that asks for something the hot path does not do.
_UNUSUAL = frozenset(
    (b"transfer-encoding", b"content-encoding", b"expect", b"upgrade", b"server-timing", b"origin", LENGTH_HEADER.encode())
)

_KINDS = frozenset((b"content-type", b"accept"))


class _Unset:
    """Stands in for the asyncio.Event that a request cycle has and a hot one has no use for."""

    def set(self) -> None:
        pass


class HotRequest(Request):
    """A hot request. To uvicorn it looks like the request cycle of its connection.

    A connection has at most one in flight, so it uses the same object again and again.
    """

    __slots__ = ("body", "codec", "form", "keep_alive", "more_body", "protocol", "response_complete", "target", "usual")
    message_event = _Unset()

    def __init__(self, protocol: HotProtocol) -> None:
        super().__init__(count=0, size_bytes=0, arrived_ns=0, source="http")
        self.protocol = protocol
        self.target = SHORT
        self.body = b""
        self.more_body = True
        self.keep_alive = True
        self.response_complete = True
        self.usual = False  # nothing but the same head came on its connection since the last response

    def answered(self, batch: Batch, start: int) -> None:
        protocol = self.protocol
        routes = protocol.routes
        if routes.headers is not protocol.server_state.default_headers:
            routes.tick(protocol.server_state.default_headers)
        try:
            response = self.codec.response(self.form, batch, start, self.count, routes.ok)
        except Exception as error:
            protocol.logger.exception("an answer could not be written")
            self.failed(unexpected(error))
            return
        if self.usual and self.keep_alive and not self.disconnected:
            self.response_complete = True
            protocol.active = True
            protocol.transport.write(response)
        else:
            protocol.respond(self, response)

    def failed(self, error: SalverError) -> None:
        protocol = self.protocol
        if type(error) is Overloaded:  # said to very many, at a time when there is no time
            made = protocol.routes.overloaded(type(self.codec), error, protocol.server_state.default_headers)
            protocol.respond(self, made)
        else:
            self.refused(error, self.codec.refusal(error))

    def refused(self, error: SalverError, refusal: Refusal) -> None:
        """Answer with an error, said as the protocol says it."""
        self.protocol.respond(self, refusal_of(error, refusal, self.protocol.server_state.default_headers))


class HotProtocol(GuardedProtocol):
    """One connection. `cycle` is its HotRequest while a hot one is in flight, and after."""

    cycle: Any  # uvicorn's, or a HotRequest
    parser: Any

    def __init__(
        self,
        routes: HotRoutes,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(routes.guard, config, server_state, app_state, _loop)
        self.routes = routes
        self._hot = HotRequest(self)
        self._between = True  # the parser has read whole messages only
        self._head = b""  # of the message that begins with the data at hand
        self._known = NOTHING  # the last message, where it is likely that the next will be like it
        self.active = False  # something was answered since the keep-alive timer last looked

    def data_received(self, data: bytes) -> None:
        head, size_bytes, codec = self._known
        request = self._hot
        request.usual = (
            len(data) == size_bytes
            and request.response_complete
            and data.startswith(head)
            and codec.current
            and not self.flow.write_paused
        )
        if request.usual:
            self._ask(codec, data[len(head) :])
        elif not self._is_known(data):
            super().data_received(data)

    def _is_known(self, data: bytes) -> bool:
        """Whether `data` is a message with a head that was seen before; then it has been asked."""
        self._known, self._head = NOTHING, b""
        if not self._between or not self._is_idle():
            return False
        end = data.find(b"\r\n\r\n") + 4
        head = data[:end]
        _, size_bytes, codec = known = self.routes.heads.get(head, NOTHING)
        if len(data) != size_bytes or self.flow.write_paused:
            self._head = head if 4 < end <= _HEAD_BYTES else b""
            return False
        self.cycle, self._known = self._hot, known
        self._hot.columns, self._hot.deadline_ns = None, 0
        self._ask(codec, data[end:])
        return True

    def on_message_begin(self) -> None:
        self._between = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if not self._is_idle() or not self._is_hot():
            self._head = b""
            super().on_headers_complete()
            return
        request = self._hot
        request.target, request.body, request.response_complete = target_of(self.url) or SHORT, b"", False
        request.columns, request.deadline_ns = None, 0
        self.cycle = request

    def on_message_complete(self) -> None:
        self._between = True
        super().on_message_complete()
        request = self._hot
        if self.cycle is not request or request.response_complete:
            return
        try:
            codec = self.routes.door(request.target, self.headers, self._address)
        except SalverError as error:
            request.refused(error, request.target.kind.refusal(error))
            return
        head, self._head = self._head, b""
        # Every line must end as HTTP says, or the head's bytes would not be all that the parser took for it.
        if head and head.count(b"\n") == head.count(b"\r") == head.count(b"\r\n"):
            self.routes.learn(head, codec, len(request.body))
        self._ask(codec, request.body)

    def respond(self, request: HotRequest, response: bytes) -> None:
        """Write a hot request's response and go on with the connection."""
        request.response_complete = True
        self.server_state.total_requests += 1
        if request.disconnected or self.transport.is_closing():
            return
        if not request.keep_alive and not self.pipeline:
            self.transport.write(response.replace(b"\r\n", b"\r\nconnection: close\r\n", 1))
            self.transport.close()
            return
        self.transport.write(response)
        if self.pipeline:
            self.on_response_complete()
            return
        self.active = True
        if self.timeout_keep_alive_task is None:
            self._wait_for_more()

    def leave(self) -> None:
        self._hot.keep_alive = False
        super().leave()

    def timeout_keep_alive_handler(self) -> None:
        # One timer a connection, which looks whether anything happened, is cheaper than a timer a request.
        if self.active or not self._is_idle():
            self.active = False
            self._wait_for_more()
        else:
            super().timeout_keep_alive_handler()

    def _wait_for_more(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _is_hot(self) -> bool:
        parser = self.parser
        if parser.get_method() != b"POST" or not self.routes.is_hot(self.url) or self.flow.write_paused:
            return False
        if parser.get_http_version() != "1.1" or not parser.should_keep_alive() or parser.should_upgrade():
            return False
        length = b""
        for name, value in self.headers:
            if name in _UNUSUAL:
                return False
            if name == b"content-length":
                length = value
            elif name in _KINDS and TABLES.search(value):
                return False
        return length.isdigit() and 0 < int(length) <= self.routes.body_bytes

    def _ask(self, codec: HotCodec, body: bytes) -> None:
        request = self._hot
        request.response_complete = False
        request.arrived_ns = perf_counter_ns()
        request.codec = codec
        request.size_bytes = len(body)
        try:
            if codec.is_conditional:
                codec = request.codec = self._admitted(codec, body)
            if request.size_bytes >= codec.lane.batcher.full_bytes:
                codec.lane.require_room(request.size_bytes)
            if codec.plain is None:
                codec.fill(request, body)
            else:
                try:
                    rows, form, keys = [codec.plain(body).features], PLAIN, None
                except (MsgspecError, UnicodeDecodeError):  # it asks for more, or it is to be said what is wrong with it
                    rows, form, keys = codec.question(body, tried=True)
                request.rows = rows
                request.form = form
                request.keys = keys
                request.count = len(rows)
            codec.lane.submit(request)
        except SalverError as error:
            request.failed(error)
        except Exception as error:
            self.logger.exception("a request could not be read")
            request.failed(unexpected(error))

    def _admitted(self, codec: HotCodec, body: bytes) -> HotCodec:
        """The codec of whoever answers, for a caller who is not too fast. Raises RateLimited or InputError."""
        request, bucket = self._hot, codec.bucket
        if bucket is not None and not bucket.take(request.arrived_ns):
            raise self.routes.gate.too_fast(bucket, request.arrived_ns)
        if codec.timeout_ns:
            request.deadline_ns = request.arrived_ns + codec.timeout_ns
        return codec if codec.split is None else self.routes.chosen(codec, body)
