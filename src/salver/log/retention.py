"""What is removed for age or size, oldest first. Needs no DuckDB, so that a log never fills a disk."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from salver.log.commit import GRACE_S, is_own, latest, succeed, sweep
from salver.log.locks import held
from salver.log.settings import Settings, read_settings
from salver.log.table import KINDS, LOCK, Table

DAY_S = 86_400.0


class Part(NamedTuple):
    """A hot segment or a cold file; `ended_s` is when its last row can have been written, in s since 1970.

    Of the output of a batch job that lies elsewhere, `size_bytes` is 0: it fills nothing here.
    """

    table: Table
    path: Path
    ended_s: float
    size_bytes: int


def outdated(parts: Iterable[Part], now_s: float, keep_days: float, limit_bytes: int) -> list[Part]:
    """The parts that go: those that ended before `keep_days` ago, then the oldest until the rest fits. Pure."""
    ordered = sorted(parts, key=lambda part: part.ended_s)
    size_bytes = sum(part.size_bytes for part in ordered)
    gone: list[Part] = []
    for part in ordered:
        if part.ended_s >= now_s - keep_days * DAY_S and size_bytes <= limit_bytes:
            break
        gone.append(part)
        size_bytes -= part.size_bytes
    return gone


def retain(log: Path, *, settings: Settings | None = None, now_s: float | None = None, grace_s: float = GRACE_S) -> int:
    """Remove what the settings no longer keep; how many bytes that was. Segments that are being written are never touched."""
    settings = settings or read_settings(log)
    with ExitStack() as stack:
        tables = [table for table in (Table(log, kind) for kind in KINDS) if table.folder.is_dir()]
        if not all([stack.enter_context(held(table.folder / LOCK)) for table in tables]):
            return 0  # somebody else is at it
        parts = [part for table in tables for part in (*_hot(table), *_cold(table))]
        gone = outdated(parts, time.time() if now_s is None else now_s, settings.keep_days, settings.limit_bytes(log))
        for table in tables:
            _remove(table, [part.path for part in gone if part.table is table])
            sweep(table, latest(table), grace_s)
    return sum(part.size_bytes for part in gone)


def _remove(table: Table, paths: list[Path]) -> None:
    if paths:
        before = latest(table)
        cold = {file.path for file in before.files if table.folder / file.path in paths}
        hot = [path for path in paths if path.suffix == ".jsonl"]
        succeed(table, before, retired=hot, dropped=cold, lost=True)


def _hot(table: Table) -> list[Part]:
    retired = latest(table).retired
    sealed = [(path, path.stat()) for path in table.sealed() if path.name not in retired]
    return [Part(table, path, stat.st_mtime, stat.st_size) for path, stat in sealed]


def _cold(table: Table) -> list[Part]:
    return [
        Part(table, table.folder / file.path, _end_s(file.date), file.size_bytes if is_own(file.path) else 0)
        for file in latest(table).files
    ]


def _end_s(date: str) -> float:
    return datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp() + DAY_S
