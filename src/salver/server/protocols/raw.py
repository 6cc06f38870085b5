"""Tensors as bytes: row-major, little-endian; what the binary extension and gRPC's raw contents carry. Pure.

BOOL is a byte, and each element of BYTES its length (four bytes) and then itself, UTF-8 where the model takes text.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.errors import InputError
from salver.server.protocols.tensors import NUMPY, Tensor, check_shape, dtype_of

_LENGTH = struct.Struct("<I")


def read(name: str, datatype: str, shape: list[int], raw: bytes | memoryview) -> NDArray[Any]:
    """The array that `raw` holds; a view of it where that can be. Raises InputError."""
    check_shape(name, shape)
    if datatype == "BYTES":
        return _texts(name, shape, bytes(raw))
    dtype = np.dtype(np.uint16) if datatype == "BF16" else dtype_of(name, datatype)
    _check_size(name, math.prod(shape) * dtype.itemsize, len(raw))
    array = np.frombuffer(raw, dtype.newbyteorder("<")).reshape(shape)
    if datatype == "BOOL":
        return array.view(np.uint8) != 0  # any other byte than 0 and 1 would be no bool to numpy
    if datatype == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


def write(tensor: Tensor) -> bytes:
    """The elements of a tensor as bytes."""
    if tensor.datatype != "BYTES":
        return np.ascontiguousarray(tensor.array, np.dtype(NUMPY[tensor.datatype]).newbyteorder("<")).tobytes()
    parts: list[bytes] = []
    for value in tensor.array.reshape(-1).tolist():
        text = b"" if value is None else str(value).encode()
        parts += (_LENGTH.pack(len(text)), text)
    return b"".join(parts)


def size_bytes(datatype: str) -> int:
    """Of one element; 0 for BYTES, whose elements have their own sizes."""
    return 0 if datatype == "BYTES" else np.dtype(NUMPY[datatype]).itemsize


def _texts(name: str, shape: list[int], raw: bytes) -> NDArray[Any]:
    count, place = math.prod(shape), 0
    if count * _LENGTH.size > len(raw):  # before memory is taken for them
        raise _run_out(name)
    made = np.empty(count, dtype=object)
    for i in range(count):
        start = place + _LENGTH.size
        if start > len(raw):
            raise _run_out(name)
        place = start + _LENGTH.unpack_from(raw, place)[0]
        if place > len(raw):
            raise _run_out(name)
        made[i] = text_of(name, raw[start:place])
    _check_size(name, place, len(raw))
    return made.reshape(shape)


def text_of(name: str, element: bytes) -> str:
    """An element of BYTES as text. Raises InputError."""
    try:
        return element.decode()
    except UnicodeDecodeError:
        raise InputError(f"input '{name}': an element of its BYTES is not UTF-8", code="wrong_type", column=name) from None


def _check_size(name: str, expected: int, got: int) -> None:
    if got != expected:
        raise InputError(
            f"input byte size mismatch for input '{name}'. Expected {expected}, got {got}", code="wrong_shape", column=name
        )


def _run_out(name: str) -> InputError:
    return InputError(f"input '{name}': its BYTES end before its shape says", code="wrong_shape", column=name)
