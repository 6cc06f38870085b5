"""What goes between a server and a model's process arrives as it was sent, and nonsense is an error, not a crash."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from salver.frameworks import memory
from salver.frameworks.messages import SHARED_FROM_BYTES, Failed, Ready, answer, ask, receive, send
from salver.types.signature import Columns


@pytest.fixture
def wires() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def across(wires: tuple[socket.socket, socket.socket], columns: Columns) -> Columns:
    sender = threading.Thread(target=ask, args=(wires[0], columns))
    sender.start()
    got = receive(wires[1])
    sender.join()
    assert isinstance(got, dict)
    return got


@pytest.mark.parametrize("rows", [0, 1, 7, SHARED_FROM_BYTES // 8, SHARED_FROM_BYTES // 2])
def test_arrays_arrive_as_they_were(wires: tuple[socket.socket, socket.socket], rows: int) -> None:
    draw = np.random.default_rng(rows)
    sent: Columns = {
        "number": draw.normal(size=rows),
        "matrix": draw.normal(size=(3, rows)).T,
        "small": draw.integers(0, 9, rows).astype(np.int8),
        "text": np.array(["a", None, 1.5, True] * rows, dtype=object)[:rows],
    }
    got = across(wires, sent)
    assert list(got) == list(sent)
    for name, values in sent.items():
        assert (got[name].shape, got[name].dtype) == (values.shape, values.dtype)
        np.testing.assert_array_equal(got[name], values)


def test_shared_numbers_can_not_be_written_to(wires: tuple[socket.socket, socket.socket]) -> None:
    (values,) = across(wires, {"a": np.zeros(SHARED_FROM_BYTES)}).values()
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 1


def test_words_arrive(wires: tuple[socket.socket, socket.socket]) -> None:
    send(wires[0], Ready())
    send(wires[0], Failed("ValueError", "no"))
    answer(wires[0], {"p": np.ones(2)})
    assert receive(wires[1]) == Ready()
    assert receive(wires[1]) == Failed("ValueError", "no")
    assert isinstance(receive(wires[1]), dict)


def test_the_end_is_told(wires: tuple[socket.socket, socket.socket]) -> None:
    wires[0].sendall(struct.pack("<Q?", 100, False) + b"half")
    wires[0].shutdown(socket.SHUT_WR)
    with pytest.raises(EOFError):
        receive(wires[1])
    with pytest.raises(EOFError):
        receive(wires[1])


def framed(body: bytes, shared: bool = False) -> bytes:
    return struct.pack("<Q?", len(body), shared) + body


def record(*array: object) -> bytes:
    return framed(msgspec.msgpack.encode(["Answer", {"p": array}]))


@pytest.mark.parametrize(
    "said",
    [
        struct.pack("<Q?", 2**60, False),
        framed(b"\xff\xff"),
        framed(msgspec.msgpack.encode(["Nothing"])),
        framed(msgspec.msgpack.encode(["Ready"]), shared=True),
        record("<f8", [2], b"12345678"),
        record("<f8", [1], 0),
        record("O", [1], b"12345678"),
        record("no dtype", [1], b"12345678"),
    ],
)
def test_nonsense_is_an_error(wires: tuple[socket.socket, socket.socket], said: bytes) -> None:
    wires[0].sendall(said)
    with pytest.raises((ValueError, TypeError, msgspec.MsgspecError)):
        receive(wires[1])


def test_memory_that_could_be_cut_off_is_refused(wires: tuple[socket.socket, socket.socket]) -> None:
    descriptor = os.memfd_create("loose", os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, 4096)
        body = msgspec.msgpack.encode(["Answer", {"p": ["<f8", [512], 0]}])
        socket.send_fds(wires[0], [struct.pack("<Q?", len(body), True) + body], [descriptor])
        before = len(list(Path("/proc/self/fd").iterdir()))
        with pytest.raises(ValueError, match="not sealed"):
            receive(wires[1])
        assert len(list(Path("/proc/self/fd").iterdir())) == before  # the one that came with it is closed
    finally:
        os.close(descriptor)


def test_a_place_outside_of_the_memory_is_an_error() -> None:
    descriptor, _ = memory.written([np.zeros(4)])
    try:
        with pytest.raises(ValueError, match="buffer"):
            np.frombuffer(memory.mapped(descriptor), "<f8", 100, 0)
    finally:
        os.close(descriptor)
