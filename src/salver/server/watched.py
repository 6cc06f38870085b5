"""What the monitor found last, for metrics: read from its results, since it is a process of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from salver.log.writer import Writer

if TYPE_CHECKING:
    from salver.monitors.results import Watched

WATCHED = ("model", "version", "route")
Samples = Iterable[tuple[tuple[str, ...], float]]
_COLUMNS = 50  # whose drift is a metric: the most moved; the report has all


def drift(log: Writer | None) -> Samples:
    """How far the last window's columns are from the reference."""
    return [
        ((*_watched_labels(one), finding.kind, finding.column), finding.effect.value)
        for one in _watched(log)
        if one.windows and not one.segment
        for finding in sorted(one.windows[-1].findings, key=lambda finding: -finding.rank)[:_COLUMNS]
        if finding.kind in ("drift", "score")
    ]


def alarms(log: Writer | None) -> Samples:
    """Alarms that last, by their level."""
    counts: Counter[tuple[str, ...]] = Counter()
    for one in _watched(log):
        counts.update({(*_watched_labels(one), level): 0 for level in ("warn", "alert")})
        counts.update((*_watched_labels(one), alarm.level) for alarm in one.alarms if alarm.until_us is None)
    return [(labels, float(count)) for labels, count in counts.items()]


def estimated(log: Writer | None) -> Samples:
    """The accuracy of the last window, estimated."""
    return [
        ((*_watched_labels(one), name), estimate.value)
        for one in _watched(log)
        if one.windows and not one.segment
        for name, estimate in one.windows[-1].estimated.items()
    ]


def needed(log: Writer | None) -> Samples:
    """Rows that growing windows lack."""
    return [(_watched_labels(one), float(one.needs_rows)) for one in _watched(log) if not one.segment]


def _watched(log: Writer | None) -> list[Watched]:
    from salver.monitors.results import read_last

    return [] if log is None else read_last(log.folder)


def _watched_labels(one: Watched) -> tuple[str, str, str]:
    return one.model, str(one.version), one.route
