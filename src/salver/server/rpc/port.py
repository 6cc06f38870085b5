"""grpclib's server, whose connections end quietly when what arrives is no HTTP/2, and answer plain calls by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from grpclib.metadata import encode_grpc_message
from grpclib.protocol import Connection, EventsProcessor, H2Protocol, Stream
from grpclib.server import Handler, Server
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset, UnknownFrameReceived
from h2.exceptions import ProtocolError

from salver.errors import SalverError
from salver.server.body import LARGE_BYTES
from salver.server.rpc.codes import CODE, grpc_status
from salver.server.rpc.hot import Call, HotInfer
from salver.server.rpc.underway import Underway

if TYPE_CHECKING:
    from grpclib._typing import IServable

_FRAME_HEAD_BYTES = 9
_MESSAGE_HEAD_BYTES = 5
_REQUIRED = (":method", ":path")
_BEGIN = [(":status", "200"), ("content-type", "application/grpc+proto")]
_END = [("grpc-status", "0")]

Headers = list[tuple[str, str]]


class Port(Server):
    """A socket's connections."""

    def __init__(self, services: Collection[IServable], hot: HotInfer) -> None:
        super().__init__(services)
        self._hot = hot

    def _protocol_factory(self) -> H2Protocol:
        return _Protocol(super()._protocol_factory(), self._hot)


class _Protocol(H2Protocol):
    """One connection."""

    handler: Handler

    def __init__(self, made: H2Protocol, hot: HotInfer) -> None:
        super().__init__(made.handler, made.config, made.h2_config)
        self._hot = hot

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.processor = Processor(self.handler, self.connection, self._hot)

    def data_received(self, data: bytes) -> None:
        if self.connection.is_closing():
            return
        try:
            events = self.connection.feed(data)
            self._require_no_large_frame()
        except (ProtocolError, UnicodeDecodeError):  # the other is of headers, which are ASCII
            self._hot.gate.refusals["invalid_http"] += 1
            self.connection.flush()  # it says so to the client
            self.processor.close("this is no HTTP/2")
            return
        for event in events:
            self.processor.process(event)
        if not self.connection.is_closing():
            self.connection.flush()

    def _require_no_large_frame(self) -> None:
        """h2 looks at a frame's length once it has all of it, and it may be said to have 16 MiB. Raises ProtocolError."""
        http2 = _http2_of(self.connection)
        waiting = http2.incoming_buffer._data  # pyright: ignore[reportPrivateUsage]
        if len(waiting) > http2.max_inbound_frame_size + _FRAME_HEAD_BYTES:
            http2.close_connection(ErrorCodes.FRAME_SIZE_ERROR)
            raise ProtocolError("a frame is larger than may be sent here")


class _Held:
    """A call that may be a plain one, as far as it has arrived."""

    __slots__ = ("begin", "headers", "parts", "size_bytes")

    def __init__(self, begin: RequestReceived, headers: dict[str, str]) -> None:
        self.begin = begin
        self.headers = headers
        self.parts: list[DataReceived] = []
        self.size_bytes = 0


class Processor(EventsProcessor):
    """What the frames of a connection mean. Plain calls are held until they are there, and answered; others are grpclib's."""

    handler: Handler

    def __init__(self, handler: Handler, connection: Connection, hot: HotInfer) -> None:
        super().__init__(handler, connection)
        processors: dict[type[Event], Callable[[Any], None]] = {**self.processors, UnknownFrameReceived: _ignore}
        self.processors = processors  # type: ignore[assignment]
        self.address = str((connection.get_peer().addr() or ("",))[0])
        self._http2 = _http2_of(connection)
        self._hot = hot
        self._held: dict[int, _Held] = {}
        self._calls: dict[int, Call] = {}
        self._flushing = False

    # What arrives

    def process_request_received(self, event: RequestReceived) -> None:
        headers: dict[str, str] = dict(event.headers or ())  # type: ignore[arg-type]
        if any(name not in headers for name in _REQUIRED):
            self._hot.gate.refusals["invalid_http"] += 1
            self._http2.reset_stream(event.stream_id, ErrorCodes.PROTOCOL_ERROR)
        elif self._hot.is_plain(headers):
            self._held[event.stream_id] = _Held(event, headers)
        else:
            super().process_request_received(event)

    def process_data_received(self, event: DataReceived) -> None:
        held = self._held.get(event.stream_id)
        if held is None:
            super().process_data_received(event)
            return
        held.parts.append(event)
        held.size_bytes += len(event.data)
        if held.size_bytes > LARGE_BYTES:
            self._give_up(event.stream_id)

    def process_stream_ended(self, event: StreamEnded) -> None:
        held = self._held.get(event.stream_id)
        content = b"".join([part.data for part in held.parts]) if held else b""
        if held is None or not _is_plain(content):
            self._give_up(event.stream_id)
            super().process_stream_ended(event)
            return
        del self._held[event.stream_id]
        self._http2.acknowledge_received_data(sum(part.flow_controlled_length for part in held.parts), event.stream_id)
        self._hot.ask(self, event.stream_id, held.headers, content[_MESSAGE_HEAD_BYTES:])

    def process_stream_reset(self, event: StreamReset) -> None:
        if event.stream_id in self._calls:
            self._leave(self._calls[event.stream_id])
        elif self._held.pop(event.stream_id, None) is None:
            super().process_stream_reset(event)

    def close(self, reason: str = "Connection closed") -> None:
        self._held.clear()
        for call in list(self._calls.values()):
            self._leave(call)
        super().close(reason)

    def _give_up(self, stream_id: int) -> None:
        """Let grpclib have a call that was held, with all that has arrived of it."""
        held = self._held.pop(stream_id, None)
        if held is not None:
            super().process_request_received(held.begin)
            for part in held.parts:
                super().process_data_received(part)

    # Calls in the engine's hands

    def keep(self, call: Call) -> None:
        self._hot.underway.begun()
        self._calls[call.stream_id] = call

    def forget(self, call: Call) -> bool:
        """Whether the call is still waited for; it is so no more."""
        if self._calls.pop(call.stream_id, None) is None:
            return False
        self._hot.underway.ended()
        return True

    def _leave(self, call: Call) -> None:
        call.disconnected = True
        self.forget(call)

    # What is said

    def answer(self, stream_id: int, content: bytes) -> None:
        """End a call well."""
        frame = b"\0%b%b" % (len(content).to_bytes(4, "big"), content)
        room_bytes = min(self._http2.local_flow_control_window(stream_id), self._http2.max_outbound_frame_size)
        if len(frame) > room_bytes or not self.connection.write_ready.is_set():
            self._answer_bit_by_bit(stream_id, frame)
            return
        self._http2.send_headers(stream_id, _BEGIN)
        self._http2.send_data(stream_id, frame)
        self._http2.send_headers(stream_id, _END, end_stream=True)
        self._flush_soon()

    def refuse(self, stream_id: int, error: SalverError) -> None:
        """End a call with an error."""
        self._http2.send_headers(stream_id, [*_BEGIN, *refusal(error)], end_stream=True)
        self._flush_soon()

    def _answer_bit_by_bit(self, stream_id: int, frame: bytes) -> None:
        stream = self.connection.create_stream(stream_id=stream_id)
        sending = _sent(stream, frame, self.register(stream), self._hot.underway)
        # Where grpclib keeps the tasks of calls, which it ends with their connection.
        self.handler._tasks[stream] = asyncio.get_running_loop().create_task(sending)  # pyright: ignore[reportPrivateUsage]

    def _flush_soon(self) -> None:
        """What is answered in this turn of the event loop is written together; at once, where nothing else is in flight."""
        if not self._calls:
            self.connection.flush()
        elif not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if not self.connection.is_closing():
            self.connection.flush()


def refusal(error: SalverError) -> Headers:
    """The trailing headers of an error."""
    return [
        ("grpc-status", str(grpc_status(error).value)),
        ("grpc-message", encode_grpc_message(error.message)),
        (CODE, error.code),
    ]


async def _sent(stream: Stream, frame: bytes, release: Callable[[], None], underway: Underway) -> None:
    """Write an answer as fast as its client takes it."""
    underway.begun()
    try:
        await stream.send_headers(_BEGIN)
        await stream.send_data(frame)
        await stream.send_headers(_END, end_stream=True)
    except ProtocolError:  # the client has left
        pass
    finally:
        release()
        underway.ended()


def _is_plain(content: bytes) -> bool:
    """Whether that is one message, not compressed."""
    return len(content) >= _MESSAGE_HEAD_BYTES and not content[0] and _size_bytes(content) == len(content) - _MESSAGE_HEAD_BYTES


def _size_bytes(content: bytes) -> int:
    return int.from_bytes(content[1:_MESSAGE_HEAD_BYTES], "big")


def _http2_of(connection: Connection) -> H2Connection:
    """The state of HTTP/2 below a connection, of which grpclib shows a part."""
    return connection._connection  # pyright: ignore[reportPrivateUsage]


def _ignore(event: Event) -> None:
    """Frames of types that nobody knows mean nothing (RFC 9113, 5.5)."""
