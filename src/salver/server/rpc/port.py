"""grpclib's server, whose connections end without a word when what arrives on them is no HTTP/2."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from grpclib.protocol import AbstractHandler, Connection, EventsProcessor, H2Protocol
from grpclib.server import Server
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import Event, RequestReceived, UnknownFrameReceived
from h2.exceptions import ProtocolError

if TYPE_CHECKING:
    from grpclib._typing import IServable

_REQUIRED = frozenset((":method", ":path"))

_FRAME_HEAD_BYTES = 9

Refused = Callable[[], None]
"""Counts what was no HTTP/2."""


class Port(Server):
    """A socket's connections."""

    def __init__(self, services: Collection[IServable], refused: Refused) -> None:
        super().__init__(services)
        self._refused = refused

    def _protocol_factory(self) -> H2Protocol:
        made = super()._protocol_factory()
        return _Protocol(made, self._refused)


class _Protocol(H2Protocol):
    """One connection."""

    def __init__(self, made: H2Protocol, refused: Refused) -> None:
        super().__init__(made.handler, made.config, made.h2_config)
        self._refused = refused

    def connection_made(self, transport: object) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self.processor = _Processor(self.handler, self.connection, self._refused)

    def data_received(self, data: bytes) -> None:
        if self.connection.is_closing():
            return
        try:
            events = self.connection.feed(data)
            self._require_no_large_frame()
        except (ProtocolError, UnicodeDecodeError):  # the other is of headers, which are ASCII
            self._refused()
            self.connection.flush()  # it says so to the client
            self.processor.close("this is no HTTP/2")
            return
        for event in events:
            self.processor.process(event)
        if not self.connection.is_closing():
            self.connection.flush()

    def _require_no_large_frame(self) -> None:
        """h2 looks at a frame's length once it has all of it, and it may be said to have 16 MiB. Raises ProtocolError."""
        http2 = http2_of(self.connection)
        if len(http2.incoming_buffer._data) > http2.max_inbound_frame_size + _FRAME_HEAD_BYTES:  # pyright: ignore[reportPrivateUsage]
            http2.close_connection(ErrorCodes.FRAME_SIZE_ERROR)
            raise ProtocolError("a frame is larger than may be sent here")


class _Processor(EventsProcessor):
    """What the frames of a connection mean."""

    def __init__(self, handler: AbstractHandler, connection: Connection, refused: Refused) -> None:
        super().__init__(handler, connection)
        processors: dict[type[Event], Callable[[Any], None]] = {**self.processors, UnknownFrameReceived: _ignore}
        self.processors = processors  # type: ignore[assignment]
        self._refused = refused

    def process_request_received(self, event: RequestReceived) -> None:
        if _REQUIRED.issubset(name for name, _ in event.headers or ()):
            super().process_request_received(event)
            return
        self._refused()
        http2_of(self.connection).reset_stream(event.stream_id, ErrorCodes.PROTOCOL_ERROR)


def http2_of(connection: Connection) -> H2Connection:
    """The state of HTTP/2 below a connection, of which grpclib shows a part."""
    return connection._connection  # pyright: ignore[reportPrivateUsage]


def _ignore(event: Event) -> None:
    """Frames of types that nobody knows mean nothing (RFC 9113, 5.5)."""
