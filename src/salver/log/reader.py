"""The reading end of the log: records in the order in which each process wrote them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from salver.log.blocks import records
from salver.log.record import Record
from salver.log.table import LABELS


def segments(folder: Path) -> list[Path]:
    """The hot segments of predictions below `folder`, oldest first."""
    return sorted(path for path in folder.rglob("*.jsonl") if path.parent.name != LABELS)


def read_records(folder: Path) -> Iterator[Record]:
    """Every whole record below `folder`. A line that a killed process left unfinished is passed over."""
    for segment in segments(folder):
        with segment.open("rb") as lines:
            yield from records(lines)


def whole(path: Path, size_bytes: int) -> int:
    """Where the last whole line ends among the first so many bytes of a segment. Raises FileNotFoundError."""
    with path.open("rb") as file:
        wanted = 2**16
        while True:
            start = max(0, size_bytes - wanted)
            file.seek(start)
            found = file.read(size_bytes - start).rfind(b"\n")
            if found >= 0 or not start:
                return start + found + 1
            wanted *= 16
