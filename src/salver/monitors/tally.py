"""How many rows each file of the log has of each slice of time, and those rows themselves, or the drawn ones of them.

A file is counted once, and what it has grown by since: a look costs what is new, however long the log is. All rows are counted,
by their heads alone; only those that are looked into are parsed.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from salver.log.blocks import BEGIN, lines_of
from salver.log.commit import Snapshot, snapshot
from salver.log.duck import parquet, relation
from salver.log.heads import Heads, Origin, bound, heads, places
from salver.log.reader import whole
from salver.log.table import PREDICTIONS, Table
from salver.monitors.store import NEVER_US, CountedFile, Store

if TYPE_CHECKING:
    import duckdb

_DRAWN = "drawn.jsonl"
_PIECE_BYTES = 32 * 2**20
"""Rows are asked for by so many bytes: DuckDB parses two thousand at once, however long, and takes several times their size."""
_SAVED = 64  # files are counted between two savings
_WIDEST = 2**20  # slices of a chunk of lines that are counted in one array
_FEW = 32
"""Where it is one of so many rows, or of more, that are drawn, they are known from the counting, and nothing is read twice."""

_Some = TypeVar("_Some")

Rows = dict[Origin, dict[int, int]]
"""How many, by the start of the slice."""


class Tally:
    """Of the predictions in a log. `scratch` is a folder for rows that are being read."""

    def __init__(self, log: Path, store: Store, connection: duckdb.DuckDBPyConnection, slice_us: int, scratch: Path) -> None:
        self._table = Table(log, PREDICTIONS)
        self._store = store
        self.connection = connection
        self._slice_us = slice_us
        self._scratch = scratch
        self._hot: dict[Path, CountedFile] = {}
        self._cold: dict[Path, CountedFile] = {}
        self._few: dict[Path, tuple[int, list[Heads]]] = {}  # of hot files, from a place on: one row of `_FEW`
        self.rows: Rows = {}
        """All that there are."""
        self._now = Snapshot([], [], snapshot(self._table).commit)

    def refresh(self) -> None:
        """Count what is new. Raises FileNotFoundError, or duckdb.IOException, when a file became cold meanwhile."""
        now, known = snapshot(self._table), self._store.files()
        names = {f"{now.commit.epoch}/{path.name}": path for path in now.hot}
        cold = {f"{of.path}/{of.rows}/{of.size_bytes}": path for of, path in zip(now.commit.files, now.cold, strict=True)}
        self._hot, self._cold, self._few, waiting = {}, {}, {}, dict[str, CountedFile]()
        for name, path in (*names.items(), *cold.items()):
            before = known.get(name)
            made = self._hot_file(path, before) if name in names else before or self._cold_file(path)
            (self._hot if name in names else self._cold)[path] = made
            if made is not before:
                waiting[name] = made
            if len(waiting) == _SAVED:
                self._store.put_files(waiting)
                waiting = {}
        self._store.put_files(waiting, gone=known.keys() - names.keys() - cold.keys())
        self.rows = _together([*self._hot.values(), *self._cold.values()])
        self._now = now

    def first(self, origin: Origin, since_us: int, until_us: int, rows: int) -> int:
        """The time before which there are so many rows of an origin from `since_us` on; `until_us` where there are fewer."""
        first = np.zeros(0, np.int64)
        for ts in self._times(origin, self.starts(origin, since_us, until_us)):
            first = np.sort(np.concatenate((first, ts[(ts >= since_us) & (ts < until_us)])))[:rows]
        return int(first[-1]) + 1 if len(first) == rows else until_us

    def starts(self, origin: Origin, since_us: int, until_us: int) -> set[int]:
        """Of the slices that have rows of an origin from `since_us` on, before `until_us`."""
        return {start for start in self.rows.get(origin, {}) if since_us - self._slice_us < start < until_us}

    def hot(self, origin: Origin) -> dict[int, int]:
        """Those of them that are lines still."""
        return _together(self._hot.values()).get(origin, {})

    def relations(self, origin: Origin, starts: Iterable[int], every: int = 1, until_us: int = NEVER_US) -> Iterator[str]:
        """SQL, some rows at a time, for rows among which are all of an origin in these slices, before `until_us`; of one of
        `every`, those that are drawn, at least.

        Each holds until the next is asked for.
        """
        wanted = set(starts)
        hot = (self._drawn(path, origin, wanted, every, until_us) for path in self._with(self._hot, origin, wanted))
        for piece in _pieces(chain.from_iterable(hot), len):
            drawn = self._scratch / _DRAWN
            with drawn.open("wb") as file:
                file.writelines(piece)
            yield relation(PREDICTIONS, self._now._replace(hot=[drawn], cold=[]))
        for files in _pieces(self._with(self._cold, origin, wanted), lambda path: path.stat().st_size):
            yield relation(PREDICTIONS, self._now._replace(hot=[], cold=files))

    def _with(self, files: Mapping[Path, CountedFile], origin: Origin, starts: set[int]) -> Iterator[Path]:
        """Those that have rows of an origin in these slices."""
        for path, counted in files.items():
            if any(Origin(*of) == origin and not starts.isdisjoint(rows) for of, rows in counted.rows):
                yield path

    def _times(self, origin: Origin, starts: set[int]) -> Iterator[NDArray[np.int64]]:
        """Of all rows of an origin in these slices, and of others beside them."""
        for path in self._with(self._hot, origin, starts):
            for some in heads(path, 0, self._hot[path].read):
                if origin in some.origins:
                    found = some.at(some.of == some.origins.index(origin))
                    yield np.repeat(found.ts, found.rows)
        for path in self._with(self._cold, origin, starts):
            query = f"select ts from ({parquet(PREDICTIONS, [path])}) where model = ? and version = ? and route = ?"
            yield np.asarray(self.connection.execute(query, list(origin)).fetchnumpy()["ts"], np.int64)

    def _hot_file(self, path: Path, before: CountedFile | None) -> CountedFile:
        since = before.read if before and _is_longer(path, before.read) else 0
        until = whole(path, path.stat().st_size)
        if before and since == until:
            return before
        made = _together([before]) if before and since else {}
        _, few = self._few[path] = since, list[Heads]()
        for some in heads(path, since, until):
            few.append(some.at(some.places < bound(_FEW)))
            for origin, rows in self._counted(some):
                of = made.setdefault(origin, {})
                for start, count in rows:
                    of[start] = of.get(start, 0) + count
        return CountedFile(until, list(made.items()))

    def _counted(self, some: Heads) -> Iterator[tuple[Origin, Iterator[tuple[int, int]]]]:
        """Rows by slice, of each origin."""
        slices = some.ts // self._slice_us
        for n, origin in enumerate(some.origins):
            of, rows = slices, some.rows
            if len(some.origins) > 1:
                of, rows = (part[some.of == n] for part in (slices, some.rows))
            if not len(of):
                continue
            first = int(of.min())
            if int(of.max()) - first < _WIDEST:
                counts = np.bincount(of - first, rows).astype(np.int64)
                there = np.flatnonzero(counts)
                starts, counts = there + first, counts[there]
            else:
                starts, at = np.unique(of, return_inverse=True)
                counts = np.bincount(at, rows).astype(np.int64)
            yield origin, zip((starts * self._slice_us).tolist(), counts.tolist(), strict=True)

    def _cold_file(self, path: Path) -> CountedFile:
        made: Rows = {}
        query = (
            f"select model, version, route, ts // {self._slice_us} * {self._slice_us}, count(*) "
            f"from ({parquet(PREDICTIONS, [path])}) group by all"
        )
        for model, version, route, start, count in self.connection.execute(query).fetchall():
            made.setdefault(Origin(model, version, route), {})[int(start)] = count
        return CountedFile(0, list(made.items()))

    def _drawn(self, path: Path, origin: Origin, starts: set[int], every: int, until_us: int) -> Iterator[bytes]:
        """The drawn rows of a hot file: lines, some together."""
        limit, wanted = np.uint64(bound(every)), np.array(list(starts))

        def is_drawn(ids: list[str]) -> list[int]:
            return np.flatnonzero(places(ids) < limit).tolist()

        with path.open("rb", buffering=0) as lines:
            for some in self._heads(path, every):
                if origin not in some.origins:
                    continue
                found = some.at((some.of == some.origins.index(origin)) & (some.places < limit) & (some.ts < until_us))
                found = found.at(np.isin(found.ts // self._slice_us * self._slice_us, wanted))
                for begin, end in found.runs():
                    told = os.pread(lines.fileno(), end - begin, begin)
                    yield lines_of(told, is_drawn) if told.startswith(BEGIN) else told

    def _heads(self, path: Path, every: int) -> Iterator[Heads]:
        """Of the lines that were counted; where few are drawn, of those at least."""
        since, few = self._few.get(path, (self._hot[path].read, []))
        if every < _FEW:
            since, few = self._hot[path].read, []
        yield from heads(path, 0, since)
        yield from few


def _pieces(every: Iterable[_Some], size_bytes: Callable[[_Some], int]) -> Iterator[list[_Some]]:
    """Some at a time, in order: more than one only where they are small."""
    piece: list[_Some] = []
    held = 0
    for one in every:
        more = size_bytes(one)
        if piece and held + more > _PIECE_BYTES:
            yield piece
            piece, held = [], 0
        piece.append(one)
        held += more
    if piece:
        yield piece


def _together(every: Iterable[CountedFile]) -> Rows:
    made: defaultdict[Origin, dict[int, int]] = defaultdict(dict)
    for counted in every:
        for of, rows in counted.rows:
            into = made[Origin(*of)]
            for start, count in rows.items():
                into[start] = into.get(start, 0) + count
    return dict(made)


def _is_longer(path: Path, read: int) -> bool:
    """Whether a segment still has what was read of it: what a write that failed left is taken back."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        file.seek(max(0, read - 1))
        return read == 0 or file.read(1) == b"\n"
    return False
