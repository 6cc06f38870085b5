"""What a server and the process of a native model say to each other: small typed records, length first, over a local socket.

Never pickles and never exceptions: an error crosses as its kind and text. Sent by the server: `Ask`. Sent by the model's
process: `Ready` once, then one `Answer` or `Failed` for each `Ask`, in order.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from salver.types.signature import Columns

_LENGTH = struct.Struct("<Q")


class Array(msgspec.Struct, array_like=True):
    """Numbers as raw bytes, anything else as a list of values."""

    dtype: str
    shape: list[int]
    data: bytes | list[Any]


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


def pack(columns: Columns) -> dict[str, Array]:
    """Arrays as records."""
    return {name: _pack(array) for name, array in columns.items()}


def unpack(arrays: dict[str, Array]) -> Columns:
    """Records as arrays; the twin of `pack`."""
    return {name: _unpack(array) for name, array in arrays.items()}


def send(wire: socket.socket, message: Message) -> None:
    body = _encode(message)
    wire.sendall(_LENGTH.pack(len(body)) + body)


def receive(wire: socket.socket) -> Message:
    """The next message. Raises EOFError when the other side is gone."""
    (length,) = _LENGTH.unpack(_exactly(wire, _LENGTH.size))
    return _decode(_exactly(wire, length))


def _exactly(wire: socket.socket, count: int) -> bytearray:
    buffer = bytearray(count)
    view = memoryview(buffer)
    while view:
        got = wire.recv_into(view)
        if not got:
            raise EOFError("the other side is gone")
        view = view[got:]
    return buffer


def _pack(array: NDArray[Any]) -> Array:
    if array.dtype.kind in "OUS":
        return Array("object", list(array.shape), array.ravel().tolist())
    return Array(array.dtype.str, list(array.shape), np.ascontiguousarray(array).tobytes())


def _unpack(array: Array) -> NDArray[Any]:
    if isinstance(array.data, list):
        made = np.empty(len(array.data), dtype=object)
        made[:] = array.data
        return made.reshape(array.shape)
    return np.frombuffer(array.data, dtype=array.dtype).reshape(array.shape)
