"""What the servers counted lately: rates and latencies out of the differences of two counts. Pure: facts in, figures out.

The counts are those of `/metrics`; a percentile is read from its buckets as Prometheus' histogram_quantile does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from salver.dashboard.messages import Facts, Lane, Served
from salver.engine.stats import SECONDS

KEPT_S = 1800.0
_STEP_S = 4.5
WINDOW_S = 60.0
"""Over so long is what is said of now."""

Key = tuple[str, int, str]
"""Model, version, route."""


class _Counted(NamedTuple):
    """Facts, by key, and of each model the keys that were ever asked."""

    facts: Facts
    lanes: dict[Key, Lane]
    asked: dict[str, list[Key]]


class Pace(NamedTuple):
    """How a version, or a model, answers: rows and requests a second, the share of errors, latency in seconds."""

    rows_per_s: float
    requests_per_s: float
    errors_per_s: float
    error_share: float
    p50_s: float | None
    p99_s: float | None
    over_s: float


class Live:
    """Counts of the last half hour. One thread notes them; those who ask take what there is then, which nobody changes."""

    def __init__(self) -> None:
        self._kept: tuple[_Counted, ...] = ()

    @property
    def last(self) -> Facts | None:
        return self._kept[-1].facts if self._kept else None

    @property
    def models(self) -> dict[str, Served]:
        return {one.name: one for one in self.last.models} if self.last else {}

    def note(self, facts: Facts) -> None:
        """Counts as they are now. What comes soon after another takes its place: charts want even steps."""
        kept = self._kept
        if len(kept) > 1 and facts.at_s - kept[-2].facts.at_s < _STEP_S:
            kept = kept[:-1]
        since_s = facts.at_s - KEPT_S
        self._kept = (*(one for one in kept if one.facts.at_s >= since_s), _counted(facts))

    def keys(self, model: str) -> list[Key]:
        """The versions and routes of a model that were ever asked."""
        return self._kept[-1].asked.get(model, []) if self._kept else []

    def pace(self, keys: Iterable[Key], window_s: float = WINDOW_S) -> Pace | None:
        """How these answered in the last `window_s` together; None before there are two counts."""
        kept = self._kept
        if not kept:
            return None
        until = kept[-1]
        first = bisect_left(kept, until.facts.at_s - window_s, key=lambda one: one.facts.at_s)
        return _between(kept[first], until, list(keys))

    def series(self, key: Key, points: int = 120) -> list[tuple[float, Pace]]:
        """The time (s since 1970) and the pace of one version by one route, count by count."""
        kept = self._kept
        step = max(1, len(kept) // points)
        picked = kept[::-step][::-1]
        found = [(until.facts.now_s, _between(since, until, [key])) for since, until in pairwise(picked)]
        return [(at, pace) for at, pace in found if pace is not None]


def _counted(facts: Facts) -> _Counted:
    asked: defaultdict[str, list[Key]] = defaultdict(list)
    lanes = {(lane.model, lane.version, lane.route): lane for lane in facts.lanes}
    for key in sorted(lanes):
        if _requests(lanes[key]):
            asked[key[0]].append(key)
    return _Counted(facts, lanes, dict(asked))


def _between(since: _Counted, until: _Counted, keys: list[Key]) -> Pace | None:
    over_s = until.facts.at_s - since.facts.at_s
    if over_s <= 0:
        return None
    rows = errors = 0.0
    latency = [0] * (len(SECONDS) + 1)
    for key in keys:
        now, before = until.lanes.get(key), since.lanes.get(key)
        if now is None:
            continue
        # A worker that was started again counts from nothing.
        rows += max(now.rows - (before.rows if before else 0.0), 0.0)
        errors += max(sum(now.errors.values()) - (sum(before.errors.values()) if before else 0.0), 0.0)
        earlier = before.latency if before else latency
        latency = [
            total + max(count - (earlier[i] if before else 0), 0)
            for i, (total, count) in enumerate(zip(latency, now.latency, strict=True))
        ]
    requests = sum(latency)
    asked = requests + errors
    return Pace(
        rows / over_s, requests / over_s, errors / over_s, errors / asked if asked else 0.0,
        quantile(0.5, latency), quantile(0.99, latency), over_s,
    )  # fmt: skip


def quantile(share: float, counts: list[int]) -> float | None:
    """The value, in s, below which that share of the requests is; None of none. Linear within a bucket."""
    total = sum(counts)
    if not total:
        return None
    wanted, below = share * total, 0
    for i, count in enumerate(counts):
        if count and below + count >= wanted:
            if i == len(SECONDS):
                return SECONDS[-1]
            low = SECONDS[i - 1] if i else 0.0
            return low + (SECONDS[i] - low) * (wanted - below) / count
        below += count
    return SECONDS[-1]


def _requests(lane: Lane) -> int:
    return sum(lane.latency) + len(lane.errors)
