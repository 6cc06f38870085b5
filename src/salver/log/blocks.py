"""Blocks: many rows of one request as a single line of the log, their numbers as bytes. Pure.

To write each number of a large table as text costs more than to predict with it. So rows that came as arrays are left as such,
and become the lines that they stand for when they are read: `lines_of` makes them, the same that would have been written. Rows
with a key are never in a block, so that whoever erases need not look into any.
"""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from salver.log.record import Record, encoder, object_maker, spelled
from salver.types.policies import Flags
from salver.types.signature import Columns

ROWS = 64
"""Fewer rows are written one by one."""

BYTES = 8 * 2**20
"""So many bytes of numbers are in one block at most, unless a single row has more."""

BEGIN = b'{"block":'

_LITTLE = {"f": "<f", "i": "<i", "u": "<u"}


class Array(msgspec.Struct, frozen=True):
    """A column of numbers: its dtype and the shape of a row."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class BlockHead(msgspec.Struct):
    """What is known of a block without unpacking it: how many rows, when, of which model."""

    block: int
    ts: int
    model: str
    version: int
    route: str


class Block(msgspec.Struct, omit_defaults=True):
    """Rows that have all of this in common. `data` are the columns of `arrays`, one after the other, in base64."""

    block: int  # how many rows
    ts: int
    model: str
    version: int
    route: str
    source: str
    latency_us: int
    ids: list[str]
    columns: list[str]
    arrays: list[Array]
    data: msgspec.Raw
    others: dict[str, list[Any]]  # columns that are no plain numbers
    outputs: dict[str, list[Any]]
    trace: str | None = None
    flags: dict[int, Flags] = {}


_decode_block = msgspec.json.Decoder(Block).decode
_decode_record = msgspec.json.Decoder(Record).decode
_decode_records = msgspec.json.Decoder(Record).decode_lines
_text = msgspec.json.Decoder(str).decode


def parts(columns: Columns, count: int) -> Iterator[slice]:
    """The rows of each block that `count` rows become."""
    row_bytes = sum(array.nbytes for array in columns.values()) // max(1, count)
    step = max(1, min(count, BYTES // max(1, row_bytes)))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def packed(columns: Columns, rows: slice) -> tuple[list[Array], msgspec.Raw, dict[str, list[Any]]]:
    """Those rows of checked arrays as `arrays`, `data` and `others` of a block."""
    numbers = {name: column[rows] for name, column in columns.items() if column.dtype.kind in _LITTLE}
    others = {name: column[rows].tolist() for name, column in columns.items() if name not in numbers}
    if all(some.dtype == np.float64 and some.ndim == 1 for some in numbers.values()):
        together = _narrowed(np.array(list(numbers.values())))
        arrays, data = [Array(name, f"<f{together.itemsize}", ()) for name in numbers], together.tobytes()
    else:
        dtypes = {name: f"{_LITTLE[some.dtype.kind]}{some.dtype.itemsize}" for name, some in numbers.items()}
        arrays = [Array(name, dtypes[name], some.shape[1:]) for name, some in numbers.items()]
        data = b"".join([np.ascontiguousarray(some, dtypes[name]).tobytes() for name, some in numbers.items()])
    return arrays, msgspec.Raw(b'"%b"' % b64encode(data)), others


def _narrowed(numbers: NDArray[np.float64]) -> NDArray[Any]:
    """The same numbers in half the bytes, where they are, as they are when they were sent as float32; little-endian."""
    with np.errstate(over="ignore"):
        narrow = numbers.astype("<f4")
    is_same = (narrow == numbers).all() or np.array_equal(narrow, numbers, equal_nan=True)
    return narrow if is_same else numbers.astype("<f8", copy=False)


def lines_of(line: bytes, which: Callable[[list[str]], Sequence[int]] | None = None) -> bytes:
    """A block as the lines of its rows; of those that `which` picks by their ids, where it is given.

    Raises msgspec.DecodeError for a torn one.
    """
    block = _decode_block(line)
    kept = range(block.block) if which is None else which(block.ids)
    columns = {**_unpacked(block, kept), **_picked(block.others, kept)}
    inputs, outputs = object_maker(block.columns), object_maker(list(block.outputs))
    rows = zip(*(columns[name] for name in block.columns), strict=True)
    answers = zip(*_picked(block.outputs, kept).values(), strict=True)
    return encoder.encode_lines(
        [
            Record(
                block.ids[at], block.ts, block.model, block.version, block.route, block.source, block.latency_us,
                inputs(*spelled(row)), outputs(*answer), None, block.trace, block.flags.get(at),
            )
            for at, row, answer in zip(kept, rows, answers, strict=True)
        ]
    )  # fmt: skip


def records(lines: Iterable[bytes]) -> Iterator[Record]:
    """Every prediction of these lines. What is torn, or was blanked, is passed over."""
    for line in lines:
        try:
            if line.startswith(BEGIN):
                yield from _decode_records(lines_of(line))
            else:
                yield _decode_record(line)
        except msgspec.DecodeError:
            continue


def rows_in(lines: bytes | bytearray) -> int:
    """How many predictions whole lines have."""
    return sum(_rows(line) for line in bytes(lines).splitlines())


def unfolded(segments: Sequence[Path], folder: Path) -> list[Path]:
    """Files in `folder` with the lines that are in blocks of these segments, for those who read nothing but lines.

    A segment that has gone has none; whoever reads its lines will see that too.
    """
    made: list[Path] = []
    for segment in segments:
        target = folder / f"{segment.stem}.lines"
        with suppress(FileNotFoundError), segment.open("rb") as lines:
            blocks = (line for line in lines if line.startswith(BEGIN) and line.endswith(b"\n"))
            first = next(blocks, None)
            if first is not None:
                folder.mkdir(parents=True, exist_ok=True)
                _write(target, chain((first,), blocks))
                made.append(target)
    return made


def _write(target: Path, blocks: Iterable[bytes]) -> None:
    with target.open("wb") as file:
        for block in blocks:
            file.write(lines_of(block))


def _rows(line: bytes) -> int:
    if not line.startswith(BEGIN):
        return 1
    digits = line[len(BEGIN) : line.index(b",")]
    return int(digits)


def _picked(columns: dict[str, list[Any]], rows: Sequence[int]) -> dict[str, list[Any]]:
    if isinstance(rows, range):
        return columns
    return {name: [values[at] for at in rows] for name, values in columns.items()}


def _unpacked(block: Block, rows: Sequence[int]) -> dict[str, list[Any]]:
    data = memoryview(b64decode(_text(block.data)))
    made: dict[str, list[Any]] = {}
    place = 0
    for array in block.arrays:
        size = math.prod(array.shape) * block.block
        values = np.frombuffer(data, array.dtype, size, place)
        values = values.reshape(block.block, *array.shape)
        made[array.name] = values.tolist() if isinstance(rows, range) else values[rows].tolist()
        place += size * values.itemsize
    return made
