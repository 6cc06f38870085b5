"""Slices of time (five minutes, if not set otherwise), counted out of the log, over the cells of a reference.

The log is the truth: a slice is counted when the log has more rows of it than were counted before, whole and anew. So a monitor
that is killed, or rows that come late, cost nothing but time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from salver.monitors.bins import spelled
from salver.monitors.profile import Profile
from salver.monitors.reading import Reader, Rows
from salver.monitors.window import Window, window_of

SEGMENTS = 10
"""The commonest values of a segment's column that are watched apart."""
_AT_ONCE = 2_000_000  # rows of slices that are read together
_LINES_AT_ONCE = 200_000  # of them, lines: they are written to be read

Counted = dict[str, dict[int, Window]]
"""By segment ("" for all rows) and start."""


class Slicer(NamedTuple):
    """Counts the rows of one model version by one route, in slices of `slice_us`.

    Of a slice with more than `at_most` rows, one of so many is looked into, drawn by its id and weighed as the others it stands
    for; which ones does not depend on who counts. `relations` makes SQL, some rows at a time: of these slices, one of so many
    at least.
    """

    reader: Reader
    relations: Callable[[Sequence[int], int], Iterable[str]]
    profile: Profile
    route: str
    slice_us: int
    at_most: int
    segments: tuple[str, ...] = ()

    def counted(self, news: Mapping[int, int], lines: Mapping[int, int]) -> Iterator[Counted]:
        """The slices that begin at `news`, which have so many rows, so many `lines` of them: some slices at a time, so that
        memory is bounded."""
        for group in self._groups(news, lines):
            yield self._count(group, news)

    def _groups(self, news: Mapping[int, int], lines: Mapping[int, int]) -> Iterator[list[int]]:
        """A slice of which a part is counted stands alone."""
        group: list[int] = []
        rows = written = 0
        for start in sorted(news):
            alone = self._every(news[start]) > 1
            rows, written = rows + news[start], written + lines.get(start, 0)
            if group and (alone or rows > _AT_ONCE or written > _LINES_AT_ONCE):
                yield group
                group, rows, written = [], news[start], lines.get(start, 0)
            group.append(start)
            if alone:
                yield group
                group, rows, written = [], 0, 0
        if group:
            yield group

    def _every(self, rows: int) -> int:
        """One of how many rows is counted."""
        return -(-rows // self.at_most)

    def _count(self, starts: Sequence[int], news: Mapping[int, int]) -> Counted:
        wanted, every = np.array(starts, dtype=np.int64), self._every(news[starts[0]])
        made: Counted = {"": {}}
        same: defaultdict[tuple[str, int], list[NDArray[np.uint64]]] = defaultdict(list)
        relations = self.relations(starts, every)
        for rows in self.reader.rows(relations, self.route, starts[0], starts[-1] + self.slice_us, every=every):
            for start, part in by_slice(rows, wanted, self.slice_us):
                for segment, some in self._parts(part):
                    window = _window(self.profile, some, start, self.slice_us)
                    before = made.setdefault(segment, {}).get(start)
                    made[segment][start] = window if before is None else before + window
                    same[segment, start].append(some.same)
        for segment, windows in made.items():
            for start, window in windows.items():
                window.rows = window.rows * every if segment else news[start]
        for start in starts:  # rows of which none could be read: they were there all the same
            made[""].setdefault(start, _unread(news[start], start, self.slice_us))
        if every > 1:  # rows that are the same are not found where most are not looked at
            return made
        for (segment, start), hashes in same.items():
            found = np.concatenate(hashes)
            made[segment][start].duplicates = len(found) - len(np.unique(found))
        return made

    def _parts(self, rows: Rows) -> Iterator[tuple[str, Rows]]:
        yield "", rows
        for name in self.segments:
            column, known = rows.columns.get(name), self.profile.columns.get(name)
            if column is None or known is None:
                continue
            values = [spelled(value) for value in getattr(known.bins, "values", ())][:SEGMENTS]
            texts = np.array([spelled(value) for value in column.tolist()])
            for value in values:
                here = np.flatnonzero(texts == value)
                if len(here):
                    some = picked(rows, here)  # of the column itself there is nothing to say: it has that value
                    rest = {column: array for column, array in some.columns.items() if column != name}
                    yield f"{name}={value}", some._replace(columns=rest)


def by_slice(rows: Rows, wanted: NDArray[np.int64], slice_us: int) -> Iterator[tuple[int, Rows]]:
    """The rows of each wanted slice."""
    starts = rows.ts // slice_us * slice_us
    if len(starts) and (starts == starts[0]).all():
        if starts[0] in wanted:
            yield int(starts[0]), rows
        return
    order = np.argsort(starts, kind="stable")
    distinct, bounds = np.unique(starts[order], return_index=True)
    for start, first, last in zip(distinct.tolist(), bounds, [*bounds[1:], len(order)], strict=True):
        if start in wanted:
            yield start, picked(rows, order[first:last])


def picked(rows: Rows, at: NDArray[Any]) -> Rows:
    """Those rows, by their numbers."""
    places = {int(place): i for i, place in enumerate(at)} if rows.flags else {}
    return Rows(
        rows.ts[at],
        {name: array[at] for name, array in rows.columns.items()},
        {name: array[at] for name, array in rows.outputs.items()},
        None if rows.weights is None else rows.weights[at],
        [(places[i], flags) for i, flags in rows.flags if i in places],
        rows.same[at],
    )


def _window(profile: Profile, rows: Rows, start: int, slice_us: int) -> Window:
    made = window_of(profile, rows.columns, rows.outputs, weights=rows.weights)
    made.rows = made.counted = len(rows.ts)
    if rows.weights is None:
        made.weight = made.squares = made.rows
    made.start_us, made.end_us = start, start + slice_us
    made.last_us = int(rows.ts.max())
    made.flagged = flagged(rows)
    return made


def _unread(rows: int, start: int, slice_us: int) -> Window:
    made = Window(start, start + slice_us)
    made.rows, made.last_us = rows, start
    return made


def flagged(rows: Rows) -> dict[str, dict[str, int]]:
    """Flags by column, counted."""
    made: dict[str, dict[str, int]] = {}
    for i, flags in rows.flags:
        weight = 1 if rows.weights is None else int(rows.weights[i])
        for column, flag in flags.items():
            of = made.setdefault(column, {})
            of[flag] = of.get(flag, 0) + weight
    return {column: dict(sorted(of.items())) for column, of in sorted(made.items())}


def grown(slices: Iterable[Window], needed: int, span_us: int) -> tuple[list[Window], Window | None]:
    """Windows in order of time: each grows until it has the rows that it needs and the time that it shall span.

    The last, if any, is still growing.
    """
    closed: list[Window] = []
    growing: Window | None = None
    for one in slices:
        growing = one if growing is None else growing + one
        if growing.end_us - growing.start_us >= span_us and growing.weight / growing.design_effect >= needed:
            closed.append(growing)
            growing = None
    return closed, growing
