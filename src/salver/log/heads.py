"""The heads of hot lines as arrays: which row, when, of which model, without a look at what it holds.

The head of a line has its fields at the same places in each (`log/record.py`), so that those of a whole segment are read by
a few operations on all of its bytes, in a twentieth of the time that its JSON takes. A line of another make is decoded.

Rows are drawn by their place in the circle: a number of 32 bits that a row's id alone gives. One of `every` rows is below
`bound(every)`, whoever wrote it, wherever it lies, and whoever asks. Rows of one batch, whose ids count up, are spread over the
circle as evenly as can be (multiples of the golden ratio; Knuth, The Art of Computer Programming 3, 6.4).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from salver.log.blocks import BEGIN, BlockHead

_CIRCLE = 2**32
_STEP = 2654435769  # the golden part of the circle
PLACE = (
    f"((((id::UHUGEINT & {_CIRCLE - 1}) + ((id::UHUGEINT >> 64) & 65535)) % {_CIRCLE})::UBIGINT * {_STEP}::UBIGINT % {_CIRCLE})"
)
"""A row's place, in DuckDB's SQL."""

_CHUNK = 2**22
_ROOM = 1024  # behind a chunk, for heads that are looked at where a line is too short to have one

_ID, _TS, _ORIGIN = 7, 50, 66  # where fields begin in a line
_COUNT, _LOW = 14, 28  # where the parts of an id begin that make its place
_HEAD = b'{"id":"' + bytes(36) + b'","ts":' + bytes(16) + b',"model":"'
_ORIGIN_OF = re.compile(rb',"model":("(?:[^"\\]|\\.)*"),"version":(\d+),"route":("(?:[^"\\]|\\.)*"),')

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]


class Origin(NamedTuple):
    """Who answered a row."""

    model: str
    version: int
    route: str


class Heads(NamedTuple):
    """Lines in order: where each begins and ends in its segment, its newline included, and which of `origins` it is `of`.

    A block is a line of several `rows`, which all have its `ts` (µs), and no one `place`: 0.
    """

    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    rows: NDArray[np.int64]
    ts: NDArray[np.int64]
    places: NDArray[np.uint64]
    of: NDArray[np.int64]
    origins: list[Origin]

    def at(self, some: NDArray[np.bool_]) -> Heads:
        return Heads(*(part[some] for part in self[:-1]), self.origins)  # type: ignore[arg-type]

    def runs(self) -> list[tuple[int, int]]:
        """Where lines begin and end that follow one another, those of each run taken together; a block is one by itself."""
        if not len(self.begins):
            return []
        alone = self.rows > 1
        first = np.flatnonzero((self.begins[1:] != self.ends[:-1]) | alone[1:] | alone[:-1]) + 1
        begins = self.begins[np.concatenate(([0], first))]
        ends = self.ends[np.concatenate((first - 1, [len(self.ends) - 1]))]
        return list(zip(begins.tolist(), ends.tolist(), strict=True))


class _Line(msgspec.Struct):
    id: str
    ts: int
    model: str
    version: int
    route: str


def bound(every: int) -> int:
    """Rows whose place is below it are one of `every`."""
    return _CIRCLE // every


def place(made_id: str) -> int:
    """The place of one row."""
    digits = made_id.replace("-", "")
    return (int(digits[24:], 16) + int(digits[12:16], 16)) % _CIRCLE * _STEP % _CIRCLE


def places(ids: list[str]) -> Words:
    """The places of many rows."""
    return _placed(np.frombuffer("".join(ids).encode(), np.uint8).reshape(-1, 36))


def heads(path: Path, since: int = 0, until: int | None = None) -> Iterator[Heads]:
    """Of the whole lines between two places of a segment, some at a time. Raises FileNotFoundError.

    What is torn, or was blanked, is passed over.
    """
    origins: dict[Origin, int] = {}
    for data, size in _chunks(path, since, until):
        made = _heads(data, size, origins)
        yield made._replace(begins=made.begins + since, ends=made.ends + since)
        since += size


def _chunks(path: Path, since: int, until: int | None) -> Iterator[tuple[Bytes, int]]:
    """Whole lines and how many bytes they are; behind them is room."""
    buffer, held = bytearray(_CHUNK + _ROOM), 0
    with path.open("rb", buffering=0) as file:
        file.seek(since)
        left = 2**62 if until is None else until - since
        while left > 0:
            if held == len(buffer) - _ROOM:  # a line that is longer
                buffer = buffer[:held] + bytearray(held + _ROOM)
            free = len(buffer) - _ROOM - held
            got = file.readinto(memoryview(buffer)[held : held + min(free, left)])
            if not got:
                return
            held, left = held + got, left - got
            size = buffer.rfind(b"\n", held - got, held) + 1
            if size:
                yield np.frombuffer(buffer, np.uint8), size
                held -= size
                buffer[:held] = buffer[size : size + held]


def _heads(data: Bytes, size: int, origins: dict[Origin, int]) -> Heads:
    ends = _newlines(data, size) + 1
    begins = np.concatenate((np.zeros(1, np.int64), ends[:-1]))
    begun = _wide(data, begins, 0, 80).view("<u8")
    usual = _is_usual(begun) & (ends - begins > len(_HEAD))
    digits = np.ascontiguousarray(begun.view(np.uint8)[:, _TS : _TS + 16]).view("<u8")
    seconds, micros = _decimal(digits[:, 0]), _decimal(digits[:, 1])
    made = Heads(
        begins,
        ends,
        np.ones(len(ends), np.int64),
        (seconds * np.uint64(10**8) + micros).astype(np.int64),
        _placed(begun.view(np.uint8)[:, _ID : _ID + 36]),
        _origins(data, begins, ends, usual, origins),
        list(origins),
    )
    odd = made.of < 0
    if not odd.any():
        return made
    for n in np.flatnonzero(odd).tolist():
        _decode(made, n, data[begins[n] : ends[n]].tobytes(), origins)
    return made._replace(origins=list(origins)).at(made.of >= 0)


def _newlines(data: Bytes, size: int) -> NDArray[np.int64]:
    """Where newlines are: eight bytes at a time, as long as no two are among the same eight."""
    found = data[: -(-size // 8) * 8] == ord("\n")
    found[size:] = False
    words = found.view("<u8")
    at = np.flatnonzero(words.astype(bool))
    shift = np.log2(words[at].astype(np.float64))  # a power of 256, where it is one
    if len(at) and (shift % 8).any():
        return np.flatnonzero(found)
    return at * 8 + shift.astype(np.int64) // 8


def _wide(data: Bytes, begins: NDArray[np.int64], offset: int, width: int) -> Bytes:
    """(lines, width): the bytes of each line from `offset` on."""
    shape = (len(data) - offset - width + 1,)
    every = np.ndarray(shape, f"V{width}", buffer=data.data, offset=offset, strides=(1,))  # at each byte, what begins there
    return every[begins].view(np.uint8).reshape(-1, width)


def _is_usual(begun: Words) -> NDArray[np.bool_]:
    """Whether all that is the same in every head is there: compared eight bytes at a time."""
    wanted = np.frombuffer(_HEAD.ljust(80, b"\0"), "<u8")
    masks = np.frombuffer(bytes(255 * bool(byte) for byte in _HEAD.ljust(80, b"\0")), "<u8")
    made = np.ones(len(begun), bool)
    for lane in np.flatnonzero(masks).tolist():
        made &= (begun[:, lane] & masks[lane]) == wanted[lane]
    return made


def _origins(
    data: Bytes, begins: NDArray[np.int64], ends: NDArray[np.int64], usual: NDArray[np.bool_], origins: dict[Origin, int]
) -> NDArray[np.int64]:
    """Which origin each line has; -1 where it is not told as usual. Lines are compared with the first of them, all at once."""
    made = np.full(len(begins), -1, np.int64)
    left = np.flatnonzero(usual)
    while len(left):
        first = int(begins[left[0]]) + _ORIGIN
        found = _ORIGIN_OF.match(data[first : first + _ROOM - _ORIGIN].tobytes())
        if not found:
            left = left[1:]
            continue
        told = found[0]
        width = -(-len(told) // 8) * 8
        lanes = _wide(data, begins[left], _ORIGIN, width).view("<u8")
        masks = np.frombuffer((b"\xff" * len(told)).ljust(width, b"\0"), "<u8")
        same = ends[left] - begins[left] > _ORIGIN + len(told)
        for lane, wanted in enumerate(np.frombuffer(told.ljust(width, b"\0"), "<u8")):
            same &= (lanes[:, lane] & masks[lane]) == wanted
        origin = Origin(_text(found[1]), int(found[2]), _text(found[3]))
        made[left[same]] = origins.setdefault(origin, len(origins))
        left = left[~same]
    return made


def _decode(made: Heads, n: int, line: bytes, origins: dict[Origin, int]) -> None:
    """A line whose head is none of the usual: a block, or a line of somebody else's make."""
    try:
        if line.startswith(BEGIN):
            block = _block(line)
            made.rows[n], made.places[n] = block.block, 0
            told: BlockHead | _Line = block
        else:
            told = _line(line)
            made.places[n] = place(told.id)
    except (msgspec.DecodeError, ValueError):
        return
    made.ts[n] = told.ts
    made.of[n] = origins.setdefault(Origin(told.model, told.version, told.route), len(origins))


def _placed(ids: Bytes) -> Words:
    """The places of ids, (rows, 36): of a batch's, two parts of their text count up."""
    low = np.ascontiguousarray(ids[:, _LOW : _LOW + 8]).view("<u8")[:, 0]
    count = np.ascontiguousarray(ids[:, _COUNT : _COUNT + 4]).view("<u4")[:, 0].astype(np.uint64) << np.uint64(32)
    added = (_hexadecimal(low) + _hexadecimal(count)) & np.uint64(_CIRCLE - 1)
    return added * np.uint64(_STEP) & np.uint64(_CIRCLE - 1)


def _decimal(digits: Words) -> Words:
    """Eight digits each, the first in the lowest byte: pairs, then fours, then all are put together at once."""
    made = digits & np.uint64(0x0F0F0F0F0F0F0F0F)
    made = (made * np.uint64(10) + (made >> np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
    made = (made * np.uint64(100) + (made >> np.uint64(16))) & np.uint64(0x0000FFFF0000FFFF)
    return (made * np.uint64(10_000) + (made >> np.uint64(32))) & np.uint64(0xFFFFFFFF)


def _hexadecimal(digits: Words) -> Words:
    """The same of base 16; a byte of zero is a digit zero."""
    made = (digits & np.uint64(0x0F0F0F0F0F0F0F0F)) + np.uint64(9) * ((digits >> np.uint64(6)) & np.uint64(0x0101010101010101))
    made = ((made << np.uint64(4)) + (made >> np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
    made = ((made << np.uint64(8)) + (made >> np.uint64(16))) & np.uint64(0x0000FFFF0000FFFF)
    return ((made << np.uint64(16)) + (made >> np.uint64(32))) & np.uint64(0xFFFFFFFF)


_line = msgspec.json.Decoder(_Line).decode
_block = msgspec.json.Decoder(BlockHead).decode
_text = msgspec.json.Decoder(str).decode
