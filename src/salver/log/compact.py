"""From hot lines to cold Parquet, in a process of its own: `python -m salver.log.compact LOG`.

Sealed segments are written as Parquet, one file a partition, beside the others; then one commit puts the files in force and the
segments out of it. Killed before the commit, nothing has happened and the next run sweeps the files away. Killed after it, all
has happened and the next run removes the segments. Partitions of many small files are written anew as one, in the same way.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from salver.errors import SalverError
from salver.log.blocks import unfolded
from salver.log.commit import GRACE_S, ColdFile, Commit, latest, succeed, sweep
from salver.log.duck import connect, date_of, lines, parquet, quoted
from salver.log.locks import held
from salver.log.retention import retain
from salver.log.segment import sync_folder
from salver.log.table import KINDS, LOCK, PREDICTIONS, Table

RUN_BYTES = 128 * 2**20  # of segments a commit: they are sorted, unfolded to three times of that, in `duck.MEMORY`
SMALL_BYTES = 32 * 2**20
SMALL_FILES = 8  # so many small ones of a partition are made one
TINY_BYTES = 2**20
LARGE_ROW_BYTES = 16 * 2**10  # as they lie in a file: with others it is read no faster, and in more memory


class Compacted(NamedTuple):
    """What a run did."""

    segments: int = 0
    rows: int = 0
    files: int = 0
    merged: int = 0


def compact(log: Path, grace_s: float = GRACE_S) -> Compacted | None:
    """Make all that is sealed cold, and sweep. None when another process is at it."""
    total = Compacted()
    for table in (Table(log, kind) for kind in KINDS):
        if not table.folder.is_dir():
            continue
        with held(table.folder / LOCK) as mine:
            if not mine:
                return None
            sweep(table, latest(table), grace_s)
            for done in (_segments(table), _merge(table)):
                total = Compacted(*(a + b for a, b in zip(total, done, strict=True)))
            sweep(table, latest(table), grace_s)
    return total


def _segments(table: Table) -> Compacted:
    before = latest(table)
    total = Compacted()
    waiting = [path for path in table.sealed() if path.name not in before.retired]
    while waiting:
        some, waiting = _some(waiting)
        shutil.rmtree(table.unfolding, ignore_errors=True)  # a killed one's
        unfolding = unfolded(some, table.unfolding) if table.kind is PREDICTIONS else []
        made = write(table, before.number + 1, lines(table.kind, [*some, *unfolding]))
        shutil.rmtree(table.unfolding, ignore_errors=True)
        before = succeed(table, before, added=made, retired=some)
        total = Compacted(total.segments + len(some), total.rows + sum(file.rows for file in made), total.files + len(made))
    return total


def _some(segments: list[Path]) -> tuple[list[Path], list[Path]]:
    """As many of the first segments as one commit takes, and the others."""
    size_bytes = 0
    for at, path in enumerate(segments):
        size_bytes += path.stat().st_size
        if at and size_bytes > RUN_BYTES:
            return segments[:at], segments[at:]
    return segments, []


def _merge(table: Table) -> Compacted:
    """Partitions of many small files become one file each."""
    before = latest(table)
    merged = 0
    for files in scattered(before):
        made = write(table, before.number + 1, parquet(table.kind, [table.folder / file.path for file in files]))
        before = succeed(table, before, added=made, dropped={file.path for file in files})
        merged += len(files)
    return Compacted(merged=merged)


def scattered(commit: Commit) -> list[list[ColdFile]]:
    """The small files of each partition that has many of them."""
    small: defaultdict[str, list[ColdFile]] = defaultdict(list)
    for file in commit.files:
        at_most = min(SMALL_BYTES, max(TINY_BYTES, file.rows * LARGE_ROW_BYTES))
        if file.size_bytes < at_most and not Path(file.path).is_absolute():
            small[file.path.rpartition("/")[0]].append(file)
    return [files for files in small.values() if len(files) >= SMALL_FILES]


def write(table: Table, number: int, rows: str) -> list[ColdFile]:
    """The rows of an SQL relation as cold files in their places, on the disk but not in force."""
    kind, making = table.kind, table.making
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    names = [name for name in kind.columns if name not in kind.partition]
    with connect(spill=making / "spill") as connection:
        connection.execute(
            f"copy (select {', '.join(names)}, {', '.join(name for name in kind.partition if name != 'date')}, "
            f"{date_of('ts')} as date from ({rows}) order by {', '.join(kind.partition)}, {kind.order}) "
            f"to {quoted(making / 'made')} (format parquet, compression zstd, partition_by ({', '.join(kind.partition)}), "
            f"filename_pattern {quoted(f'{number:012}-{os.getpid()}-{{i}}')}, row_group_size 100000)"
        )
        made = [_place(table, path, making / "made") for path in sorted((making / "made").rglob("*.parquet"))]
        counted = connection.execute(
            f"select file_name, num_rows from parquet_file_metadata({[str(path) for path in made]})"
        ).fetchall() if made else []  # fmt: skip
    shutil.rmtree(making)
    return [_described(table, Path(name), rows) for name, rows in counted]


def _place(table: Table, made: Path, root: Path) -> Path:
    """Move a file to its place, on the disk."""
    with made.open("rb") as file:
        os.fsync(file.fileno())
    place = table.folder / made.relative_to(root)
    place.parent.mkdir(parents=True, exist_ok=True)
    made.chmod(0o640)
    made.rename(place)
    sync_folder(place.parent)
    return place


def _described(table: Table, path: Path, rows: int) -> ColdFile:
    below = path.relative_to(table.folder)
    partition = dict(part.split("=", 1) for part in below.parts[:-1])
    return ColdFile(below.as_posix(), partition["model"], partition["date"], rows, path.stat().st_size)


def main() -> int:
    """Look after the log in the folder that is named, once: remove what is too old, make cold what is sealed."""
    log = Path(sys.argv[1])
    os.nice(10)  # predictions come first
    retain(log)
    if find_spec("duckdb") is None:
        return 0  # what is hot stays so
    done = compact(log)
    print("another process is at it" if done is None else f"{done.segments} segments, {done.rows} rows, {done.files} files")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SalverError as error:
        sys.exit(f"salver: {error.message}")
