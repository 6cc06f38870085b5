"""Calls whose heads were seen before are answered without h2's knowing, and as any other."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, StreamReset, TrailersReceived
from h2.settings import SettingCodes

from salver.server.rpc import wire
from salver.server.rpc.messages import SERVICE, message
from tests.server.rpc.test_service import UNLIMITED, infer, tensor
from tests.serving import Served

HEADERS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", f"/{SERVICE}/ModelInfer"),
    (":authority", "localhost"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
]
SPELLED = b"application/grpc+proto"  # h2 says it once, and points to it later
RAW = np.array([1.5, 2.5], "<f4").tobytes()


def asked(values: int = 2, model: str = "identity_fp32") -> bytes:
    raw = RAW * (values // 2)
    return infer(model, tensor("INPUT0", "FP32", [1, values]), raw=(raw,)).SerializeToString()


class Client:
    """One connection, and what it was told, by stream."""

    def __init__(self, connection: socket.socket, window_bytes: int = 0) -> None:
        self.connection = connection
        self.http2 = H2Connection(H2Configuration(header_encoding="ascii"))
        if window_bytes:
            self.http2.local_settings = type(self.http2.local_settings)(
                client=True, initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window_bytes}
            )
        self.http2.initiate_connection()
        self.events: dict[int, list[Event]] = {}
        self.raw = b""

    def begin(self, content: bytes, headers: list[tuple[str, str]] = HEADERS) -> int:
        """Ask, not yet sent."""
        stream_id = self.http2.get_next_available_stream_id()
        self.http2.send_headers(stream_id, headers)
        self.http2.send_data(stream_id, wire.message(content), end_stream=True)
        return stream_id

    def send(self) -> None:
        self.connection.sendall(self.http2.data_to_send())

    def ended(self, stream_id: int) -> list[Event]:
        """All that was said on a stream, once it is over."""
        while not any(isinstance(event, StreamEnded | StreamReset) for event in self.events.get(stream_id, [])):
            data = self.connection.recv(65536)
            assert data, "the connection was closed"
            self.raw += data
            for event in self.http2.receive_data(data):
                self.events.setdefault(getattr(event, "stream_id", 0) or 0, []).append(event)
                if isinstance(event, DataReceived) and event.flow_controlled_length:
                    self.http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self.send()
        return self.events[stream_id]

    def ask(self, content: bytes, headers: list[tuple[str, str]] = HEADERS) -> tuple[str, bytes]:
        """The status and the message of one call."""
        self.raw = b""
        stream_id = self.begin(content, headers)
        self.send()
        return said(self.ended(stream_id))


def said(events: list[Event]) -> tuple[str, bytes]:
    headers: dict[str, Any] = {}
    for event in events:
        if isinstance(event, ResponseReceived | TrailersReceived):
            headers |= dict(event.headers)
    data = b"".join(event.data for event in events if isinstance(event, DataReceived))
    return headers["grpc-status"], data[5:]


@contextmanager
def connected(served: Served, window_bytes: int = 0) -> Iterator[Client]:
    host, _, port = served.grpc.partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as made:
        yield Client(made, window_bytes)


@pytest.mark.parametrize("more", [[], [("grpc-timeout", "20S")], [("x-request", "a")]])
def test_a_known_head_is_answered_as_a_new_one(several: Served, more: list[tuple[str, str]]) -> None:
    with connected(several) as client:
        answers = [(client.ask(asked(), HEADERS + more), SPELLED in client.raw) for _ in range(4)]
    assert [spelled for _, spelled in answers[1:]] == [False, True, True]
    ((status, content),) = {answer for answer, _ in answers}
    assert status == "0"
    assert message("ModelInferResponse").FromString(content).raw_output_contents[0] == RAW


def test_errors_of_known_calls(several: Served) -> None:
    for content, status in ((asked(model="nobody"), "5"), (b"\xff\xff", "3"), (asked()[:-1] + b"\xff\xff", "3")):
        with connected(several) as client:
            answers = [client.ask(content) for _ in range(4)]
        assert answers == [(status, b"")] * 4


def test_a_changed_table_makes_them_new(several: Served) -> None:
    """A block points into the table of headers: after an addition, it would point elsewhere."""
    with connected(several) as client:
        for number in range(12):
            more = [("x-number", str(number // 4))]
            assert client.ask(asked(), HEADERS + more)[0] == "0"
        spelled: list[bool] = []
        for path in ("ModelInfer", "ServerLive", "ModelInfer", "ModelInfer", "ModelInfer"):
            headers = [(name, f"/{SERVICE}/{path}" if name == ":path" else value) for name, value in HEADERS]
            status, content = client.ask(asked() if path == "ModelInfer" else b"", headers)
            assert status == "0"
            assert (content == b"\x08\x01") == (path == "ServerLive")
            spelled.append(SPELLED in client.raw)
    assert spelled[1] is False and spelled[-1] is True


def test_many_in_one_packet_with_others_between(several: Served) -> None:
    with connected(several) as client:
        for _ in range(3):
            client.ask(asked())
        streams = [client.begin(asked()) for _ in range(5)]
        client.http2.ping(b"12345678")
        live = [(name, f"/{SERVICE}/ServerLive" if name == ":path" else value) for name, value in HEADERS]
        streams.append(client.begin(b"", live))
        streams += [client.begin(asked()) for _ in range(5)]
        gone = client.begin(asked())
        client.http2.reset_stream(gone)
        client.send()
        assert [said(client.ended(stream))[0] for stream in streams] == ["0"] * 11
        assert client.ask(asked())[0] == "0"


def test_a_packet_may_end_anywhere(several: Served) -> None:
    with connected(several) as client:
        for _ in range(3):
            client.ask(asked())
        last = client.begin(asked())
        data = client.http2.data_to_send()
        client.connection.sendall(data)
        assert said(client.ended(last))[0] == "0"
        whole = len(data)
        for cut in range(1, whole, 3):
            first = client.begin(asked())
            second = client.begin(asked())
            data = client.http2.data_to_send()
            client.connection.sendall(data[:cut])
            time.sleep(0.002)  # so that it arrives by itself
            client.connection.sendall(data[cut:])
            assert [said(client.ended(stream))[0] for stream in (first, second)] == ["0", "0"]


def test_heads_first_and_messages_later(several: Served) -> None:
    """Messages of two frames, that say they are compressed, that are cut, of streams that are given up, and with padding."""
    with connected(several) as client:
        for _ in range(3):
            client.ask(asked())
        first = client.http2.get_next_available_stream_id()
        streams = [first + 2 * i for i in range(6)]
        for stream in streams:
            client.http2.send_headers(stream, HEADERS)
        client.send()
        content = wire.message(asked())
        client.http2.send_data(streams[0], content, end_stream=True)
        client.http2.send_data(streams[1], content[:20])
        client.http2.send_data(streams[2], b"\1" + content[1:], end_stream=True)
        client.http2.send_data(streams[3], content[:20], end_stream=True)
        client.http2.reset_stream(streams[4])
        client.send()
        client.http2.send_data(streams[1], content[20:], end_stream=True)
        client.http2.send_data(streams[5], content, end_stream=True, pad_length=3)
        client.send()
        assert [said(client.ended(streams[place]))[0] for place in (0, 1, 2, 3, 5)] == ["0", "0", "3", "3", "0"]
        assert client.ask(asked())[0] == "0"


def test_an_answer_larger_than_the_window(several: Served) -> None:
    many = 2000
    with connected(several, window_bytes=1000) as client:
        answers = [client.ask(asked(many)) for _ in range(4)]
    for status, content in answers:
        assert status == "0"
        assert message("ModelInferResponse").FromString(content).raw_output_contents[0] == RAW * (many // 2)


def test_windows_are_kept(several: Served) -> None:
    """More than the windows of a connection hold goes over it, both ways, in calls that are known."""
    with grpc.insecure_channel(several.grpc, options=UNLIMITED) as channel:
        ask = channel.unary_unary(f"/{SERVICE}/ModelInfer", None, message("ModelInferResponse").FromString)
        content = asked(3000)
        for _ in range(400):
            assert len(ask(content).raw_output_contents[0]) == 12_000
