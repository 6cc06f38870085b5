"""Memory that two processes share: without a name, so nothing is left behind whoever dies, and sealed before it is passed on.

The seals keep its size and content as they are: whoever maps it need not fear that the other side cuts it off underneath.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from typing import Any

from numpy.typing import NDArray

AVAILABLE = hasattr(os, "memfd_create")
"""Linux has it. Elsewhere everything goes through the socket."""

Mapped = mmap.mmap | bytes

_ALIGNED_BYTES = 64


def written(arrays: list[NDArray[Any]]) -> tuple[int, list[int]]:
    """A descriptor of memory that holds these contiguous arrays, and where each one starts. The caller closes it."""
    places: list[int] = []
    size = 0
    for array in arrays:
        places.append(size)
        size += -(-array.nbytes // _ALIGNED_BYTES) * _ALIGNED_BYTES
    descriptor = os.memfd_create("salver", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, size)
        for array, place in zip(arrays, places, strict=True):
            _write(descriptor, memoryview(array.reshape(-1).view("u1").data), place)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _seals())
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, places


def mapped(descriptor: int) -> Mapped:
    """Its bytes, for reading. Raises ValueError when it is not sealed."""
    try:
        sealed = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
    except OSError as error:
        raise ValueError("shared memory that can't be sealed") from error
    if sealed & _seals() != _seals():
        raise ValueError("shared memory that is not sealed")
    size = os.fstat(descriptor).st_size
    return mmap.mmap(descriptor, size, access=mmap.ACCESS_READ) if size else b""


def _write(descriptor: int, data: memoryview, place: int) -> None:
    while data:
        count = os.pwrite(descriptor, data, place)
        data, place = data[count:], place + count


def _seals() -> int:
    return fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
