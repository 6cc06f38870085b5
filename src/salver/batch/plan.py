"""What is read, and in which parts: a pure function of the input's files, so that a job resumed is cut as it was begun.

A part of a Parquet or Arrow file is whole row groups or batches. A part of a text file is a range of bytes that begins and ends
with a row; a compressed file is one part.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from salver.errors import InputError

Format = Literal["parquet", "arrow", "csv", "tsv", "jsonl"]

SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}

PART_ROWS = 500_000
PART_BYTES = 32 * 2**20
_BLOCK_BYTES = 4 * 2**20
_PACKED = (".gz", ".bz2", ".zst")


class File(msgspec.Struct, frozen=True):
    """One file of the input. `partition` are the columns that its folders name: `year=2024/month=7`."""

    path: str
    format: Format
    size_bytes: int
    mtime_ns: int
    partition: dict[str, str] = {}


class Part(msgspec.Struct, frozen=True):
    """A range of a file: row groups, batches or bytes from `start` to `stop` (-1: to the end); `row` is the first's number."""

    number: int
    file: int
    start: int
    stop: int
    row: int
    rows: int  # how many, where that is known before they are read; else -1


class Plan(msgspec.Struct, frozen=True):
    """An input cut into parts."""

    files: tuple[File, ...]
    parts: tuple[Part, ...]

    @property
    def rows(self) -> int | None:
        """All rows, where that is known before they are read."""
        return None if any(part.rows < 0 for part in self.parts) else sum(part.rows for part in self.parts)


def format_of(path: Path) -> Format | None:
    """The format that a name's ending says, compressed or not."""
    suffixes = path.suffixes[:-1] if path.suffix in _PACKED else path.suffixes
    return SUFFIXES.get(suffixes[-1].lower()) if suffixes else None


def is_packed(path: str) -> bool:
    return path.endswith(_PACKED)


def files_of(given: str, format: Format | None = None) -> tuple[File, ...]:
    """The files that a path, a folder or a pattern means, in the order of their names. Raises InputError when there is none.

    Names that begin with `_` or `.` are not data, by custom of those who write such folders.
    """
    root = Path(given).expanduser()
    if root.is_dir():
        found = [path for path in sorted(root.rglob("*")) if path.is_file() and not _is_hidden(path.relative_to(root))]
    elif root.is_file():
        root, found = root.parent, [root]
    else:
        root, pattern = _divided(root)
        found = [path for path in sorted(root.glob(pattern)) if path.is_file()] if pattern else []
    files = [_file(path, root, format) for path in found]
    if not files:
        raise InputError(f"no table at {given}: name a file, a folder or a pattern such as 'data/*.parquet'")
    return tuple(files)


def planned(files: tuple[File, ...]) -> Plan:
    """The input in parts. Text is read through once, to count its lines. Raises InputError."""
    parts: list[Part] = []
    for index, file in enumerate(files):
        for start, stop, row, rows in _RANGES[file.format](file):
            parts.append(Part(len(parts), index, start, stop, row, rows))
    return Plan(files, tuple(parts))


Range = tuple[int, int, int, int]
"""start, stop, number of the first row, rows."""


def _of_parquet(file: File) -> Iterator[Range]:
    metadata = opened_parquet(file).metadata
    yield from _grouped([metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)])


def _of_arrow(file: File) -> Iterator[Range]:
    source = opened_arrow(file)
    yield from _grouped([source.get_batch(i).num_rows for i in range(source.num_record_batches)])


def _grouped(sizes: list[int]) -> Iterator[Range]:
    start = row = rows = 0
    for at, size in enumerate(sizes):
        if rows and rows + size > PART_ROWS:
            yield start, at, row, rows
            start, row, rows = at, row + rows, 0
        rows += size
    if rows or not row:
        yield start, len(sizes), row, rows  # a file without rows is a part too, so that its columns are there


def _of_text(file: File) -> Iterator[Range]:
    """Ranges of whole rows. The first line of a CSV file, with the names, is in none of them."""
    if is_packed(file.path):
        yield 0, -1, 0, -1
        return
    quoting, ranges = file.format != "jsonl", list[Range]()
    start = at = row = rows = 0
    inside, last = False, b"\n"
    with Path(file.path).open("rb") as lines:
        if quoting:
            start = at = len(lines.readline())
        while block := lines.read(_BLOCK_BYTES):
            ends = _row_ends(block, inside) if quoting and (inside or b'"' in block) else None
            count = block.count(b"\n") if ends is None else len(ends)
            inside = inside != bool(quoting and block.count(b'"') % 2)
            rows += count
            if at + len(block) - start > PART_BYTES and count:
                cut = at + (block.rfind(b"\n") if ends is None else int(ends[-1])) + 1
                ranges.append((start, cut, row, rows))
                start, row, rows = cut, row + rows, 0
            at, last = at + len(block), block[-1:]
    rows += last != b"\n"
    yield from ranges
    if rows or not ranges:
        yield start, at, row, rows


def _row_ends(block: bytes, inside: bool) -> NDArray[np.int64]:
    """Where rows end in a piece of CSV: at the line ends with as many quotes before them as close each other.

    `inside` says that the piece begins within quotes.
    """
    characters = np.frombuffer(block, dtype=np.uint8)
    within = (np.add.accumulate(characters == ord('"'), dtype=np.uint8) & 1) != inside
    return np.flatnonzero((characters == ord("\n")) & ~within)


_RANGES = {"parquet": _of_parquet, "arrow": _of_arrow, "csv": _of_text, "tsv": _of_text, "jsonl": _of_text}


def opened_parquet(file: File) -> Any:
    """A pyarrow ParquetFile. Raises InputError."""
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(file.path)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{file.path} is not a Parquet file") from error


def opened_arrow(file: File) -> Any:
    """A reader of the batches of an Arrow IPC file. Raises InputError."""
    import pyarrow

    try:
        return pyarrow.ipc.open_file(pyarrow.memory_map(file.path))
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{file.path} is not an Arrow IPC file") from error


def _file(path: Path, root: Path, given: Format | None) -> File:
    known = given or format_of(path)
    if known is None:
        raise InputError(f"{path}: its name does not say what it is; known are {', '.join(SUFFIXES)}, or say it with --from")
    stat = path.stat()
    folders = path.relative_to(root).parts[:-1] if path.is_relative_to(root) else ()
    partition = dict(part.split("=", 1) for part in folders if "=" in part)
    return File(str(path), known, stat.st_size, stat.st_mtime_ns, partition)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(("_", ".")) for part in path.parts)


def _divided(pattern: Path) -> tuple[Path, str]:
    """A pattern as the folder before its first wildcard and the rest; without one, no rest."""
    parts = pattern.parts
    plain = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return Path(*parts[:plain]), str(Path(*parts[plain:])) if plain < len(parts) else ""
