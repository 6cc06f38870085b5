"""Frames of HTTP/2 as plain calls have them, read and written without a state machine. Pure.

Sources: RFC 9113, 4.1 and 6; RFC 7541, 5.1 and 6.2.2: fields that are sent so leave the table of the compression as it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

DATA, HEADERS, RST_STREAM, WINDOW_UPDATE = 0, 1, 3, 8
END_STREAM, END_HEADERS = 1, 4
MESSAGE_HEAD_BYTES = 5

_HEAD = struct.Struct(">HBBBI")
_FRAME_HEAD_BYTES = _HEAD.size
_STREAM = 2**31 - 1  # the highest bit means nothing
_PREFIX = 127


class Frame(NamedTuple):
    """One frame, and where in the data its payload lies."""

    kind: int
    flags: int
    stream_id: int
    start: int
    end: int


def frame_at(data: bytes, place: int) -> Frame | None:
    """The frame that begins there; None where it is not whole."""
    if len(data) - place < _FRAME_HEAD_BYTES:
        return None
    high, low, kind, flags, stream_id = _HEAD.unpack_from(data, place)
    start = place + _FRAME_HEAD_BYTES
    end = start + (high << 8 | low)
    return None if end > len(data) else Frame(kind, flags, stream_id & _STREAM, start, end)


def size_bytes(data: bytes | bytearray) -> int:
    """What the frame that begins there says of its payload; 0 where its own head is not whole."""
    return int.from_bytes(data[:3], "big") if len(data) >= _FRAME_HEAD_BYTES else 0


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    size = len(payload)
    return _HEAD.pack(size >> 8, size & 255, kind, flags, stream_id) + payload


def fields(headers: Iterable[tuple[str, str]]) -> bytes:
    """A block of headers, each spelled out."""
    return b"".join([b"\0" + _text(name) + _text(value) for name, value in headers])


def message(content: bytes) -> bytes:
    """A message of gRPC, not compressed."""
    return b"\0%b%b" % (len(content).to_bytes(4, "big"), content)


def is_message(content: bytes) -> bool:
    """Whether that is one whole message, not compressed."""
    return (
        len(content) >= MESSAGE_HEAD_BYTES
        and not content[0]
        and int.from_bytes(content[1:MESSAGE_HEAD_BYTES], "big") == len(content) - MESSAGE_HEAD_BYTES
    )


def _text(text: str) -> bytes:
    raw = text.encode("ascii")
    return _integer(len(raw)) + raw


def _integer(value: int) -> bytes:
    if value < _PREFIX:
        return bytes((value,))
    made, value = [_PREFIX], value - _PREFIX
    while value >= 128:
        made.append(value % 128 + 128)
        value //= 128
    return bytes((*made, value))
