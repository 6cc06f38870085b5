"""The end of the log as it grows: whole lines of hot segments, in any number of files. Needs no DuckDB."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from salver.log.blocks import records
from salver.log.reader import segments
from salver.log.record import Record

_LOOK_S = 0.2
_END_BYTES = 2**20
_CLOCKS_US = 1_000_000  # by how much the clock of a file system may be behind


def last(log: Path, count: int) -> list[Record]:
    """The last `count` predictions of those that are still hot, oldest first. Reads only the segments that may hold one."""
    if not count:
        return []
    found: list[Record] = []
    for written_us, path in sorted(((_written_us(path), path) for path in segments(log)), reverse=True):
        if len(found) >= count and written_us + _CLOCKS_US < found[0].ts:
            break  # whatever is older than this segment's end is older than what was found
        found += records(_end(path, count).split(b"\n"))
        found = sorted(found, key=lambda record: record.ts)[-count:]
    return found


def _written_us(path: Path) -> int:
    """When a segment was written to last; 0 when it has become Parquet meanwhile."""
    try:
        return path.stat().st_mtime_ns // 1000
    except FileNotFoundError:
        return 0


def follow(log: Path) -> Iterator[Record]:
    """Every prediction from now on, as it is written. Never ends."""
    read = {path: _whole(path.read_bytes()) for path in segments(log)}
    while True:
        for path in segments(log):
            try:
                with path.open("rb") as file:
                    file.seek(read.get(path, 0))
                    grown = file.read()
            except FileNotFoundError:
                continue
            size = _whole(grown)
            yield from records(grown[:size].split(b"\n"))
            read[path] = read.get(path, 0) + size
        time.sleep(_LOOK_S)


def _whole(data: bytes) -> int:
    return data.rfind(b"\n") + 1


def _end(path: Path, count: int) -> bytes:
    """Enough of a file's end to hold `count` lines."""
    wanted = _END_BYTES
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return b""
    with file:
        size = file.seek(0, os.SEEK_END)
        while True:
            file.seek(max(0, size - wanted))
            data = file.read()
            if wanted >= size or data.count(b"\n") > count:
                return b"\n".join(data.split(b"\n")[-count - 2 :])
            wanted *= 4
