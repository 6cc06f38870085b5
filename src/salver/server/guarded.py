"""uvicorn's protocol class with bounds: on connections, heads, time, and what may wait. What is within them costs nothing.

Time is looked at from outside: once a second, every connection is asked whether its client has taken too long. So a request
that arrives whole, as on the hot path, touches no timer and no counter here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Literal

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from salver.errors import InputError, SalverError, Unavailable
from salver.server.problems import MEDIA_TYPE, headers_of, problem, status_of
from salver.server.settings import Limits

LOOK_S = 1.0
"""How often connections are looked at."""


class Guard:
    """What the connections of a server share: their limits, and how many each address has."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.addresses: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()  # by their code
        self.leaving = False  # every answer is the last of its connection
        self.on_close: list[Callable[[], None]] = []


class _TooMuch(Exception):
    """Ends the parser's work on a message, out of one of its callbacks."""

    def __init__(self, error: SalverError | None) -> None:
        self.error = error


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    parser: Any
    cycle: Any

    def __init__(
        self,
        guard: Guard,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._guard = guard
        self._limits = guard.limits
        self._address = ""
        self._part: Literal["", "head", "body"] = ""  # of a message that has begun to arrive
        self._messages = 0
        self._since_s = 0.0  # since when the part, or the connection, is waited for
        self._head_bytes = self._header_count = self._body_bytes = 0
        self._unread: tuple[int, float] | None = None  # bytes that the client does not take, and since when
        self._refused = False

    # Connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        limits, addresses = self._limits, self._guard.addresses
        self._since_s = self.loop.time()
        self._address = self.client[0] if self.client else ""
        addresses[self._address] += 1
        if self._guard.leaving:
            self.leave()
        if len(self.connections) > limits.connections:
            self.refuse(Unavailable("this server has as many connections as it takes", code="too_many_connections"))
        elif addresses[self._address] > limits.connections_per_address:
            self.refuse(Unavailable("there are too many connections from your address", code="too_many_connections"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._guard.addresses[self._address] -= 1
        if not self._guard.addresses[self._address]:
            del self._guard.addresses[self._address]
        super().connection_lost(exc)
        for tell in self._guard.on_close:
            tell()

    def leave(self) -> None:
        """Make the next answer the last, and say so in it."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def refuse(self, error: SalverError | None) -> None:
        """Close the connection, with an answer where there is one and the client can take it for an answer to its request."""
        self._refused = True
        self._since_s = self.loop.time()
        if error is not None:
            self._guard.refusals[error.code] += 1
        if self.transport.is_closing():
            return
        cycle = self.cycle
        answering = cycle is not None and not cycle.response_complete
        if error is not None and not self.pipeline and not (answering and (self._part == "" or _has_begun(cycle))):
            self.transport.write(_closing(error, self.server_state.default_headers))
        if cycle is not None and answering:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    def look(self, now_s: float) -> None:
        """Close the connection when its client takes too long."""
        limits, waited_s = self._limits, now_s - self._since_s
        if self._refused:
            if waited_s > limits.head_s:  # it does not even take its refusal
                self.transport.abort()
        elif self._part and self.flow.read_paused:  # it is we who wait
            self._since_s += LOOK_S
        elif self._part == "head":
            if waited_s > limits.head_s:
                self.refuse(_too_slow(f"a request's head must arrive within {limits.head_s:g} s"))
        elif self._part == "body":
            if waited_s > limits.body_s and self._body_bytes < waited_s * limits.body_bytes_per_s:
                self.refuse(_too_slow(f"a body must arrive within {limits.body_s:g} s, or at {limits.body_bytes_per_s} B/s"))
        elif self.cycle is None and waited_s > limits.head_s:
            self.refuse(None)
        self._look_for_readers(now_s)

    def _look_for_readers(self, now_s: float) -> None:
        if not self.flow.write_paused:
            self._unread = None
            return
        size_bytes = self.transport.get_write_buffer_size()
        if self._unread is None or self._unread[0] != size_bytes:
            self._unread = size_bytes, now_s
        elif now_s - self._unread[1] > self._limits.answer_s:
            self.transport.abort()

    # What arrives

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        part, number = self._part, self._messages
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade:  # to nothing that we speak; it has been answered as what it is besides
            return
        except HttpParserError as error:
            cause = error.__context__
            self.refuse(cause.error if isinstance(cause, _TooMuch) else InputError("this is no HTTP/1.1", code="invalid_http"))
            return
        if part == self._part == "head" and number == self._messages:
            # The parser keeps what it has of a header, and calls nobody before it is whole.
            self._head_bytes += len(data)
            if self._head_bytes > self._limits.header_bytes + self._limits.url_bytes:
                self.refuse(self._head_too_large())

    def on_message_begin(self) -> None:
        self._unset_keepalive_if_required()  # not for mere line breaks
        self._part = "head"
        self._messages += 1
        self._since_s = self.loop.time()
        self._head_bytes = self._header_count = self._body_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        limit_bytes = self._limits.url_bytes
        if len(self.url) > limit_bytes:
            raise _TooMuch(InputError(f"a request's target may have at most {limit_bytes} bytes", code="target_too_long"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        self._header_count += 1
        if self._header_count > self._limits.headers or self._head_bytes > self._limits.header_bytes:
            raise _TooMuch(self._head_too_large())
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= self._limits.pipelined:
            raise _TooMuch(None)
        super().on_headers_complete()
        if self._guard.leaving:
            self.leave()

    def on_body(self, body: bytes) -> None:
        if self._part == "head":
            self._part, self._since_s = "body", self.loop.time()
        self._body_bytes += len(body)
        if self._body_bytes > self._limits.body_bytes and self.cycle.response_complete:
            raise _TooMuch(None)  # it was refused long ago, and goes on sending
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._part = ""
        super().on_message_complete()

    def _head_too_large(self) -> SalverError:
        limits = self._limits
        return InputError(
            f"a request may have at most {limits.headers} headers of {limits.header_bytes} bytes together",
            code="headers_too_large",
        )


def _has_begun(cycle: Any) -> bool:
    return bool(getattr(cycle, "response_started", False))


def _too_slow(text: str) -> SalverError:
    return InputError(text, code="too_slow")


def _closing(error: SalverError, default_headers: list[tuple[bytes, bytes]]) -> bytes:
    status, body = status_of(error), problem(error)
    headers = [*default_headers, *((name.encode(), value.encode()) for name, value in headers_of(error).items())]
    lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
    start = b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\n" % (status, HTTPStatus(status).phrase.encode(), MEDIA_TYPE.encode())
    return b"%b%bcontent-length: %d\r\nconnection: close\r\n\r\n%b" % (start, lines, len(body), body)
