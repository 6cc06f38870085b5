"""What the frames of a connection mean: plain calls are held until they are there and answered here; others are grpclib's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from grpclib.metadata import encode_grpc_message
from grpclib.protocol import Connection, EventsProcessor, Stream
from grpclib.server import Handler
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset, UnknownFrameReceived
from h2.exceptions import ProtocolError, TooManyStreamsError
from h2.frame_buffer import FrameBuffer

from salver.errors import SalverError
from salver.server.body import LARGE_BYTES
from salver.server.rpc import wire
from salver.server.rpc.codes import CODE, grpc_status
from salver.server.rpc.heads import Head, Heads
from salver.server.rpc.hot import Call, HotInfer
from salver.server.rpc.underway import Underway
from salver.server.rpc.wire import DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, WINDOW_UPDATE, Frame

_KNOWN_BYTES = 2048  # a larger block of headers is not remembered
_REQUIRED = (":method", ":path")
_ASKED = [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "localhost")]
_BEGIN = [(":status", "200"), ("content-type", "application/grpc+proto")]
_END = [("grpc-status", "0")]
_BEGIN_FIELDS, _END_FIELDS = wire.fields(_BEGIN), wire.fields(_END)

Headers = list[tuple[str, str]]


class _Held:
    """A call that may be a plain one, as far as it has arrived."""

    __slots__ = ("begin", "head", "parts", "size_bytes")

    def __init__(self, begin: RequestReceived, head: Head) -> None:
        self.begin = begin
        self.head = head
        self.parts: list[DataReceived] = []
        self.size_bytes = 0


class Processor(EventsProcessor):
    """What the frames of a connection mean. Plain calls are held until they are there, and answered; others are grpclib's.

    A plain call whose head was seen before is not shown to h2: its frames are read and written here, and h2 is told only what
    the connection as a whole must know, which streams there were and what windows are left.
    """

    handler: Handler

    def __init__(self, handler: Handler, connection: Connection, hot: HotInfer) -> None:
        super().__init__(handler, connection)
        processors: dict[type[Event], Callable[[Any], None]] = {**self.processors, UnknownFrameReceived: _ignore}
        self.processors = processors  # type: ignore[assignment]
        self.address = str((connection.get_peer().addr() or ("",))[0])
        self._http2 = http2_of(connection)
        self._window = self._http2._inbound_flow_control_window_manager  # pyright: ignore[reportPrivateUsage]
        self._buffer = self._http2.incoming_buffer
        self._heads = Heads(self._http2)
        self._last: tuple[int, Head] | None = None  # the stream that h2 told of last, where it may be a plain call
        self._transport: asyncio.Transport = connection._transport  # pyright: ignore[reportPrivateUsage]
        self._begun: dict[int, Head] = {}  # known calls whose message is still to come
        self._rest = b""  # of what arrived: the beginning of a frame
        self._said: list[bytes] = []  # answers to known calls that are not written yet
        self._hot = hot
        self._held: dict[int, _Held] = {}
        self._calls: dict[int, Call] = {}
        self._flushing = False

    # What arrives

    def unknown(self, data: bytes) -> Iterator[bytes]:
        """The parts of `data` that are for h2, in their order. Known calls between them are asked on the way."""
        if self._buffer._data or self._buffer._preamble_len:  # pyright: ignore[reportPrivateUsage]
            yield data  # it begins the connection, or goes on with a frame that came with its beginning
            return
        data, self._rest = self._rest + data, b""
        begin = place = 0
        while frame := wire.frame_at(data, place):
            end = frame.end
            if self._takes(frame, data):
                if begin < place:
                    yield data[begin:place]
                begin = end
            elif frame.kind == HEADERS and frame.flags == END_HEADERS and end - frame.start <= _KNOWN_BYTES:
                if begin < place:
                    yield data[begin:place]
                table, self._last = self._heads.table(), None
                yield data[place:end]
                self._learn(data[frame.start : end], frame.stream_id, table)
                begin = end
            place = end
        if begin < place:
            yield data[begin:place]
        self._rest = data[place:]
        self.require_no_large_frame(self._rest)

    def require_no_large_frame(self, waiting: bytes | bytearray) -> None:
        """Of a frame that is not there yet: h2 looks at its length only then, and it may be said to have 16 MiB.

        Raises ProtocolError.
        """
        if wire.size_bytes(waiting) > self._http2.max_inbound_frame_size:
            self._http2.close_connection(ErrorCodes.FRAME_SIZE_ERROR)
            raise ProtocolError("a frame is larger than may be sent here")

    def _takes(self, frame: Frame, data: bytes) -> bool:
        """Whether a frame belongs to a known call; then it has been heeded, and h2 is not to see it."""
        kind, stream_id = frame.kind, frame.stream_id
        if kind == HEADERS and frame.flags == END_HEADERS and stream_id not in self._begun:
            return self._begin_known(frame, data)
        if stream_id in self._begun:
            if kind == DATA:
                return self._ask_known(frame, data)
            if kind == RST_STREAM:
                del self._begun[stream_id]
            if kind == HEADERS:
                self._give_to_h2(stream_id)
            return kind in (RST_STREAM, WINDOW_UPDATE)
        if kind not in (RST_STREAM, WINDOW_UPDATE) or stream_id not in self._calls or not self._calls[stream_id].is_known:
            return False
        if kind == RST_STREAM:
            self._leave(self._calls[stream_id])
        return True

    def _begin_known(self, frame: Frame, data: bytes) -> bool:
        """Whether that is the next stream, with a head that was seen before."""
        stream_id, http2 = frame.stream_id, self._http2
        if stream_id <= http2.highest_inbound_stream_id or not stream_id % 2 or self._hot.underway.draining:
            return False
        head = self._heads.find(data[frame.start : frame.end])
        streams = len(self._begun) + len(self._calls) + len(http2.streams)
        if head is None or streams >= http2.local_settings.max_concurrent_streams:
            return False
        http2.highest_inbound_stream_id = stream_id
        self._begun[stream_id] = head
        return True

    def _ask_known(self, frame: Frame, data: bytes) -> bool:
        """Ask a known call, whose message is in one frame; one of several frames, or whatever else it is, becomes h2's."""
        content, size_bytes = data[frame.start : frame.end], frame.end - frame.start
        room_bytes = min(self._window.current_window_size, self._http2.max_inbound_frame_size)
        if frame.flags != END_STREAM or size_bytes > room_bytes or not wire.is_message(content):
            self._give_to_h2(frame.stream_id)
            return False
        self._window.window_consumed(size_bytes)
        if more_bytes := self._window.process_bytes(size_bytes):
            self._said.append(wire.frame(WINDOW_UPDATE, 0, 0, more_bytes.to_bytes(4, "big")))
        head = self._begun.pop(frame.stream_id)
        self._hot.ask(self, frame.stream_id, head, content[wire.MESSAGE_HEAD_BYTES :], is_known=True)
        return True

    def _give_to_h2(self, stream_id: int) -> None:
        head = self._begun.pop(stream_id)
        for event in self._told(stream_id, head.headers.items(), END_HEADERS):
            self.process(event)

    def _learn(self, block: bytes, stream_id: int, before: tuple[int, object]) -> None:
        """Remember a head that h2 has just read, where it began a plain call and left the table of headers alone."""
        after = self._heads.table()
        if self._last and self._last[0] == stream_id and before[0] == after[0] and before[1] is after[1]:
            self._heads.learn(block, self._last[1])

    def process_request_received(self, event: RequestReceived) -> None:
        headers: dict[str, str] = dict(event.headers or ())  # type: ignore[arg-type]
        if any(name not in headers for name in _REQUIRED):
            self._hot.gate.refusals["invalid_http"] += 1
            self._http2.reset_stream(event.stream_id, ErrorCodes.PROTOCOL_ERROR)
        elif head := self._hot.head(headers):
            self._last = event.stream_id, head
            self._held[event.stream_id] = _Held(event, head)
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
        if held is None or not wire.is_message(content):
            self._give_up(event.stream_id)
            super().process_stream_ended(event)
            return
        del self._held[event.stream_id]
        self._http2.acknowledge_received_data(sum(part.flow_controlled_length for part in held.parts), event.stream_id)
        self._hot.ask(self, event.stream_id, held.head, content[wire.MESSAGE_HEAD_BYTES :], is_known=False)

    def process_stream_reset(self, event: StreamReset) -> None:
        if event.stream_id in self._calls:
            self._leave(self._calls[event.stream_id])
        elif self._held.pop(event.stream_id, None) is None:
            super().process_stream_reset(event)

    def close(self, reason: str = "Connection closed") -> None:
        self._held.clear()
        self._begun.clear()
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

    def answer(self, call: Call, content: bytes) -> None:
        """End a call well."""
        if call.is_known:
            self._answer_known(call.stream_id, wire.message(content))
            return
        stream_id, frame = call.stream_id, wire.message(content)
        room_bytes = min(self._http2.local_flow_control_window(stream_id), self._http2.max_outbound_frame_size)
        if len(frame) > room_bytes or not self.connection.write_ready.is_set():
            self._answer_bit_by_bit(stream_id, frame)
            return
        self._http2.send_headers(stream_id, _BEGIN)
        self._http2.send_data(stream_id, frame)
        self._http2.send_headers(stream_id, _END, end_stream=True)
        self._flush_soon()

    def _answer_known(self, stream_id: int, message: bytes) -> None:
        http2 = self._http2
        room_bytes = min(
            http2.outbound_flow_control_window, http2.remote_settings.initial_window_size, http2.max_outbound_frame_size
        )
        if len(message) > room_bytes or not self.connection.write_ready.is_set():
            if self._told(stream_id, _ASKED, END_HEADERS | END_STREAM):
                self._answer_bit_by_bit(stream_id, message)
            return
        http2.outbound_flow_control_window -= len(message)
        self._said += (
            wire.frame(HEADERS, END_HEADERS, stream_id, _BEGIN_FIELDS),
            wire.frame(DATA, 0, stream_id, message),
            wire.frame(HEADERS, END_HEADERS | END_STREAM, stream_id, _END_FIELDS),
        )
        self._flush_soon()

    def refuse(self, stream_id: int, error: SalverError, is_known: bool) -> None:
        """End a call with an error."""
        said = [*_BEGIN, *refusal(error)]
        if is_known:
            self._said.append(wire.frame(HEADERS, END_HEADERS | END_STREAM, stream_id, wire.fields(said)))
        else:
            self._http2.send_headers(stream_id, said, end_stream=True)
        self._flush_soon()

    def _told(self, stream_id: int, headers: Iterable[tuple[str, str]], flags: int) -> list[Event]:
        """Let h2 know of a stream after all. It has too many where it makes no event of that; then the stream is refused."""
        frames = FrameBuffer()
        frames.max_frame_size = self._http2.max_inbound_frame_size
        frames.add_data(wire.frame(HEADERS, flags, stream_id, wire.fields(headers)))
        last, self._http2.highest_inbound_stream_id = self._http2.highest_inbound_stream_id, stream_id - 1  # they come in order
        try:
            return self._http2._receive_frame(next(frames))  # pyright: ignore[reportPrivateUsage]
        except TooManyStreamsError:
            self._said.append(wire.frame(RST_STREAM, 0, stream_id, ErrorCodes.REFUSED_STREAM.to_bytes(4, "big")))
            self._flush_soon()
            return []
        finally:
            self._http2.highest_inbound_stream_id = last

    def _answer_bit_by_bit(self, stream_id: int, frame: bytes) -> None:
        stream = self.connection.create_stream(stream_id=stream_id)
        sending = _sent(stream, frame, self.register(stream), self._hot.underway)
        # Where grpclib keeps the tasks of calls, which it ends with their connection.
        self.handler._tasks[stream] = asyncio.get_running_loop().create_task(sending)  # pyright: ignore[reportPrivateUsage]

    def _flush_soon(self) -> None:
        """What is answered in this turn of the event loop is written together; at once, where nothing else is in flight."""
        if not self._calls:
            self.write()
        elif not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if not self.connection.is_closing():
            self.write()

    def write(self) -> None:
        """Send what was said."""
        if self._said:
            self._transport.write(b"".join(self._said))
            self._said.clear()
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


def http2_of(connection: Connection) -> H2Connection:
    """The state of HTTP/2 below a connection, of which grpclib shows a part."""
    return connection._connection  # pyright: ignore[reportPrivateUsage]


def _ignore(event: Event) -> None:
    """Frames of types that nobody knows mean nothing (RFC 9113, 5.5)."""
