"""The hot path: a prediction without an ASGI scope, task or events, on uvicorn's own protocol class.

A POST to an inference route is *hot* when nothing about it is unusual: HTTP/1.1 kept alive, a plain body of known and
moderate length, no response of the connection still to come. Its request object stands in for uvicorn's own request cycle,
so pipelining, shutdown, timeouts and lost connections remain uvicorn's business. Everything else goes to the ASGI app.

A client on a kept-alive connection sends the same head again and again. The second time the same bytes arrive, the parser
would say the same as the first time, so it is not asked: `heads` remembers what it said.
"""

from __future__ import annotations

import asyncio
import re
from random import random
from time import perf_counter_ns
from typing import Any

from msgspec import MsgspecError
from uvicorn.config import Config
from uvicorn.server import ServerState

from salver.door.bucket import Bucket
from salver.engine.batch import Batch
from salver.engine.engine import Engine
from salver.engine.lane import Lane
from salver.engine.request import Request
from salver.engine.split import Split
from salver.errors import SalverError
from salver.server.access import Gate, Headers, Visit, too_fast
from salver.server.formats.media import TABLES
from salver.server.guarded import Guard, GuardedProtocol
from salver.server.predict import PLAIN, Codec
from salver.server.problems import MEDIA_TYPE, headers_of, problem, status_of, unexpected
from salver.types.reference import Reference

BODY_BYTES = 64 * 1024
"""A larger body is read and answered by the ASGI app, off the event loop where it takes long."""

_TARGET = re.compile(rb"/models/([A-Za-z0-9][A-Za-z0-9_.@-]*)/predict")
_HEADS = 1024
_HEAD_BYTES = 4096
_REASONS = {
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    413: b"Content Too Large",
    422: b"Unprocessable Content",
    429: b"Too Many Requests",
    500: b"Internal Server Error",
    503: b"Service Unavailable",
}
# A header that asks for something the hot path does not do.
_UNUSUAL = frozenset(
    (b"transfer-encoding", b"content-encoding", b"expect", b"upgrade", b"server-timing", b"origin", b"x-request-timeout-ms")
)

_KINDS = frozenset((b"content-type", b"accept"))

_Known = tuple[bytes, int, Any]
"""A head, the size of the whole message, and the codec that answers it."""

_NOTHING: _Known = (b"", -1, None)


class _Unset:
    """Stands in for the asyncio.Event that a request cycle has and a hot one has no use for."""

    def set(self) -> None:
        pass


class HotRoutes:
    """What every connection of a server shares: which targets are hot, and the heads that were seen."""

    def __init__(self, engine: Engine, gate: Gate, guard: Guard) -> None:
        self.heads: dict[bytes, _Known] = {}
        self.guard = guard
        self.body_bytes = min(BODY_BYTES, guard.limits.body_bytes)
        self.taken = b""  # a target that another protocol has
        self._engine = engine
        self._gate = gate
        self._codecs: dict[tuple[int, ...], Codec] = {}
        self.headers: list[tuple[bytes, bytes]] | None = None
        self.ok = b""  # status line and headers up to the value of content-length
        engine.on_change.append(self.forget)

    def forget(self) -> None:
        """Forget the heads: what they mean, or who may send them, is not what it was."""
        for codec in self._codecs.values():
            codec.current = False
        self._codecs.clear()
        self.heads.clear()

    def door(self, target: bytes, headers: Headers, address: str) -> Codec:
        """The codec of the model that answers a target, for a caller who may ask it. Raises what the gate and `find` raise."""
        reference = reference_of(target)
        visit = Visit("POST", "/models/{ref}/predict", {"ref": reference.name}, address) if reference else _short(address)
        key = self._gate.enter(headers, visit)
        bucket, split = self._gate.ring.bucket(key), self._engine.split(reference)
        if split is None:
            return self.codec(self._engine.find(reference), bucket)
        if split.header:  # the same head leads to the same version
            return self.codec(split.by_head(lambda name: _header(headers, name)), bucket)
        return self.codec(split.default, bucket, split)

    def codec(self, lane: Lane, bucket: Bucket | None = None, split: Split | None = None) -> Codec:
        """The codec of a lane's model, made once; one of its own for a key whose requests are counted, and one for a split."""
        place = id(lane), id(bucket), id(split)
        found = self._codecs.get(place)
        if found is not None and found.lane is lane and found.bucket is bucket and found.split is split:
            return found
        if bucket is not None:
            made = self.codec(lane, None, split).counted(bucket)
        else:
            made = Codec(lane, self.guard.limits) if split is None else self.codec(lane).divided(split)
        self._codecs[place] = made
        return made

    def chosen(self, codec: Codec, body: bytes) -> Codec:
        """The codec of whoever answers this request of a split. Raises InputError."""
        split = codec.split
        assert split is not None
        if not split.by_body:
            return self.codec(split.at(random() * 100))
        rows, _, keys = codec.question(body)
        return self.codec(split.by_rows(rows, None, keys))

    def is_hot(self, target: bytes) -> bool:
        """Whether a request target is one of the native inference routes, spelled plainly, and nobody else's."""
        return is_inference(target) and target != self.taken

    def learn(self, head: bytes, codec: Codec, length: int) -> None:
        """Remember what a head means, until the models change."""
        if len(self.heads) >= _HEADS:
            self.heads.clear()
        self.heads[head] = (head, len(head) + length, codec)

    def tick(self, default_headers: list[tuple[bytes, bytes]]) -> None:
        """Take over uvicorn's headers, which it makes anew when its clock ticks."""
        self.headers = default_headers
        self.ok = _start(b"200 OK", b"application/json", default_headers)


def is_inference(target: bytes) -> bool:
    """Whether a request target is one of the native inference routes, spelled plainly."""
    return target == b"/predict" or _TARGET.fullmatch(target) is not None


def reference_of(target: bytes) -> Reference | None:
    """The model that an inference route names; None on `/predict`."""
    found = _TARGET.fullmatch(target)
    return Reference.parse(found[1].decode("ascii")) if found else None


def _header(headers: Headers, name: str) -> str | None:
    return next((value.decode("latin-1") for at, value in headers if at == name.encode()), None)


def _short(address: str) -> Visit:
    return Visit("POST", "/predict", {}, address)


class HotRequest(Request):
    """A hot request. To uvicorn it looks like the request cycle of its connection.

    A connection has at most one in flight, so it uses the same object again and again.
    """

    __slots__ = ("body", "codec", "form", "keep_alive", "more_body", "protocol", "response_complete", "target", "usual")
    message_event = _Unset()

    def __init__(self, protocol: HotProtocol) -> None:
        super().__init__(count=0, size_bytes=0, arrived_ns=0, source="http")
        self.protocol = protocol
        self.target = b""
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
        status, body, protocol = status_of(error), problem(error), self.protocol
        more = [*protocol.server_state.default_headers]
        more += [(name.encode(), value.encode()) for name, value in headers_of(error).items()]
        head = _start(b"%d %b" % (status, _REASONS.get(status, b"Error")), MEDIA_TYPE.encode(), more)
        protocol.respond(self, b"%b%d\r\n\r\n%b" % (head, len(body), body))


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
        self._known = _NOTHING  # the last message, where it is likely that the next will be like it
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
        self._known, self._head = _NOTHING, b""
        if not self._between or not self._is_idle():
            return False
        end = data.find(b"\r\n\r\n") + 4
        head = data[:end]
        _, size_bytes, codec = known = self.routes.heads.get(head, _NOTHING)
        if len(data) != size_bytes or self.flow.write_paused:
            self._head = head if 4 < end <= _HEAD_BYTES else b""
            return False
        self.cycle, self._known = self._hot, known
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
        request.target, request.body, request.response_complete = self.url, b"", False
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
            request.failed(error)
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

    def _ask(self, codec: Codec, body: bytes) -> None:
        request = self._hot
        request.response_complete = False
        request.arrived_ns = perf_counter_ns()
        request.codec = codec
        request.size_bytes = len(body)
        try:
            if codec.bucket is not None and not codec.bucket.take(request.arrived_ns):
                raise too_fast(codec.bucket, request.arrived_ns)
            if codec.split is not None:
                codec = request.codec = self.routes.chosen(codec, body)
            if codec.plain is None:
                rows, form, keys = codec.question(body)
            else:
                try:
                    rows, form, keys = [codec.plain(body).features], PLAIN, None
                except (
                    MsgspecError,
                    UnicodeDecodeError,
                ):  # it asks for more than that, or it is to be said what is wrong with it
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


def _start(status: bytes, media_type: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
    return b"HTTP/1.1 %b\r\ncontent-type: %b\r\n%bcontent-length: " % (status, media_type, lines)
