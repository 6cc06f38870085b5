"""What is no HTTP/2 on the gRPC port: that connection ends, it is counted, nothing is written about it, nobody else notices."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import httpx
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection

from tests.server.mutations import grpc_messages, grpc_seeds, mutated
from tests.server.rpc.test_service import call
from tests.serving import Served

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


@contextmanager
def connected(served: Served) -> Iterator[socket.socket]:
    host, _, port = served.grpc.partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as made:
        yield made


def until_closed(connection: socket.socket) -> bytes:
    """What the server says before it closes."""
    said = b""
    try:
        while data := connection.recv(65536):
            said += data
    except ConnectionResetError:
        pass
    return said


def counted(served: Served) -> float:
    lines = httpx.get(f"{served.url}/metrics").text.splitlines()
    found = (line for line in lines if line.startswith('salver_refusals_total{code="invalid_http"}'))
    return float(next(found, "0 0").rpartition(" ")[2])


def headers(*pairs: tuple[str, str]) -> bytes:
    """A client's first bytes, with a stream of these headers."""
    client = H2Connection(H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False))
    client.initiate_connection()
    client.send_headers(1, pairs, end_stream=True)
    return client.data_to_send()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        bytes(range(256)),
        PREFACE + SETTINGS + b"\x00\x00\x08\x00\x00\x00\x00\x00\x00" + bytes(8),  # DATA on stream 0
        PREFACE
        + SETTINGS
        + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01"
        + bytes(20000),  # larger than a frame may be, and not whole
        PREFACE + SETTINGS + b"\x00\x00\x04\x01\x05\x00\x00\x00\x01\xff\xff\xff\xff",  # no HPACK
        headers((":method", "POST"), (":path", "/x"), ("user-agent", "žluť")),
    ],
)
def test_what_is_no_http2_ends_its_connection(several: Served, sent: bytes) -> None:
    before, written = counted(several), several.output.read_text()
    with connected(several) as connection:
        connection.sendall(sent)
        until_closed(connection)
    assert counted(several) == before + 1
    assert several.output.read_text() == written


def test_a_request_without_a_method_ends_alone(several: Served) -> None:
    """And so does nobody else's on the same connection, nor does a frame of an unknown type end it."""
    before, written = counted(several), several.output.read_text()
    with connected(several) as connection:
        connection.sendall(headers((":path", "/x"), ("te", "trailers")))
        unknown, ping = b"\x00\x00\x03\x0b\x00\x00\x00\x00\x00abc", b"\x00\x00\x08\x06\x00\x00\x00\x00\x00pingpong"
        connection.sendall(unknown + ping)
        said = b""
        while b"pingpong" not in said:
            data = connection.recv(65536)
            assert data, "it has closed the connection"
            said += data
    assert b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x01" in said  # RST_STREAM of stream 1, PROTOCOL_ERROR
    assert counted(several) == before + 1
    assert several.output.read_text() == written


def test_nothing_is_written_about_broken_frames(several: Served) -> None:
    seeds, draw, written = grpc_seeds(), random.Random(3), several.output.read_text()
    for _ in range(500):
        with connected(several) as connection:
            connection.sendall(mutated(draw.choice(seeds), seeds, draw))
            connection.shutdown(socket.SHUT_WR)
            until_closed(connection)
    with grpc.insecure_channel(several.grpc) as channel:
        assert call(channel, "ModelInfer", grpc_messages()[1]).model_name == "iris_model"
    assert several.output.read_text() == written
