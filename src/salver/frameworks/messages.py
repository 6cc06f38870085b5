"""What a server and the process of a native model say to each other: small typed records, length first, over a local socket.

Never pickles and never exceptions: an error crosses as its kind and text. Sent by the server: `Ask`. Sent by the model's
process: `Ready` once, then one `Answer` or `Failed` for each `Ask`, in order. Numbers of a large batch do not go through the
socket: they lie in a piece of memory without a name, whose descriptor is passed along (`frameworks/memory.py`).
"""

from __future__ import annotations

import os
import socket
import struct
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from salver.frameworks import memory
from salver.types.signature import Columns

_HEADER = struct.Struct("<Q?")  # the length of the record, and whether a descriptor comes with it
_RECORD_LIMIT_BYTES = 2**32
SHARED_FROM_BYTES = 2**18
"""From so many bytes of numbers on, two copies less pay for the calls that sharing takes."""


class Array(msgspec.Struct, array_like=True):
    """Numbers as raw bytes or as their place in the shared memory, anything else as a list of values."""

    dtype: str
    shape: list[int]
    data: bytes | list[Any] | int


class Ask(msgspec.Struct, tag=True, array_like=True):
    columns: dict[str, Array]


class Ready(msgspec.Struct, tag=True, array_like=True):
    pass


class Answer(msgspec.Struct, tag=True, array_like=True):
    outputs: dict[str, Array]


class Failed(msgspec.Struct, tag=True, array_like=True):
    kind: str
    text: str


Message = Ask | Ready | Answer | Failed
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Message).decode


def ask(wire: socket.socket, columns: Columns) -> None:
    _send_arrays(wire, Ask, columns)


def answer(wire: socket.socket, outputs: Columns) -> None:
    _send_arrays(wire, Answer, outputs)


def send(wire: socket.socket, message: Ready | Failed) -> None:
    _send(wire, message, None)


def receive(wire: socket.socket) -> Ready | Failed | Columns:
    """The next message: arrays for an Ask or an Answer. They are not to be written to.

    Raises EOFError when the other side is gone, ValueError when what it says makes no sense.
    """
    head, descriptors, _, _ = socket.recv_fds(wire, _HEADER.size, 1)
    try:
        if not head:
            raise EOFError("the other side is gone")
        length, with_memory = _HEADER.unpack(head + _exactly(wire, _HEADER.size - len(head)))
        if length > _RECORD_LIMIT_BYTES or with_memory != bool(descriptors):
            raise ValueError("a record of an impossible length, or without its memory")
        message = _decode(_exactly(wire, length))
        shared = memory.mapped(descriptors[0]) if descriptors else b""
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    if isinstance(message, Ask):
        return {name: _unpack(array, shared) for name, array in message.columns.items()}
    if isinstance(message, Answer):
        return {name: _unpack(array, shared) for name, array in message.outputs.items()}
    return message


def _send_arrays(wire: socket.socket, kind: type[Ask] | type[Answer], columns: Columns) -> None:
    numbers = {name: np.ascontiguousarray(array) for name, array in columns.items() if array.dtype.kind not in "OUS"}
    size_bytes = sum([array.nbytes for array in numbers.values()])
    if size_bytes < SHARED_FROM_BYTES or not memory.AVAILABLE:
        _send(wire, kind({name: _inline(array) for name, array in columns.items()}), None)
        return
    descriptor, places = memory.written(list(numbers.values()))
    try:
        where = dict(zip(numbers, places, strict=True))
        records = {
            name: Array(array.dtype.str, list(array.shape), where[name]) if name in where else _inline(array)
            for name, array in columns.items()
        }
        _send(wire, kind(records), descriptor)
    finally:
        os.close(descriptor)


def _send(wire: socket.socket, message: Message, descriptor: int | None) -> None:
    body = _encode(message)
    head = _HEADER.pack(len(body), descriptor is not None)
    if descriptor is None:
        wire.sendall(head + body)
        return
    sent = socket.send_fds(wire, [head], [descriptor])
    wire.sendall(head[sent:] + body)


def _exactly(wire: socket.socket, count: int) -> bytearray:
    buffer = bytearray(count)
    view = memoryview(buffer)
    while view:
        got = wire.recv_into(view)
        if not got:
            raise EOFError("the other side is gone")
        view = view[got:]
    return buffer


def _inline(array: NDArray[Any]) -> Array:
    if array.dtype.kind in "OUS":
        return Array("object", list(array.shape), array.ravel().tolist())
    return Array(array.dtype.str, list(array.shape), np.ascontiguousarray(array).tobytes())


def _unpack(array: Array, shared: memory.Mapped) -> NDArray[Any]:
    if isinstance(array.data, list):
        made = np.empty(len(array.data), dtype=object)
        made[:] = array.data
        return made.reshape(array.shape)
    dtype = np.dtype(array.dtype)
    if dtype.hasobject:
        raise ValueError("raw bytes are no objects")
    if isinstance(array.data, int):
        count = int(np.prod(array.shape, dtype=object))
        return np.frombuffer(shared, dtype, count, array.data).reshape(array.shape)
    return np.frombuffer(array.data, dtype).reshape(array.shape)
