"""Counts of what the engine did, cheap enough for the hot path. Knows no exposition format."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)


class Histogram:
    """Counts by bucket (`counts[i]` for values ≤ `bounds[i]`, the last for larger ones) and a sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def observe_since(self, starts_ns: list[int], now_ns: int) -> None:
        """As `observe` for the seconds from each of `starts_ns`, one at least, which ascend, to `now_ns`."""
        bounds, counts = self.bounds, self.counts
        shortest = bisect_left(bounds, (now_ns - starts_ns[-1]) * 1e-9)
        counted = 0
        # What waited together falls into a bucket or two: each is counted by where it begins.
        for bucket in range(bisect_left(bounds, (now_ns - starts_ns[0]) * 1e-9), shortest, -1):
            longer = bisect_left(starts_ns, now_ns - bounds[bucket - 1] * 1e9)
            counts[bucket] += longer - counted
            counted = longer
        counts[shortest] += len(starts_ns) - counted
        self.sum += (now_ns * len(starts_ns) - sum(starts_ns)) * 1e-9

    @property
    def count(self) -> int:
        return sum(self.counts)


class LaneStats:
    """What happened to one version of one model."""

    __slots__ = ("batch_rows", "errors", "gone", "latency_s", "predict_s", "queue_s", "rows")

    def __init__(self) -> None:
        self.latency_s = Histogram(SECONDS)  # a request, from its arrival to its answer
        self.queue_s = Histogram(SECONDS)  # a batch, from the arrival of its first request to its start
        self.predict_s = Histogram(SECONDS)  # a batch
        self.batch_rows = Histogram(ROWS)
        self.rows = 0
        self.errors: Counter[str] = Counter()  # requests, by error code
        self.gone = 0  # requests whose client left before their turn

    def __repr__(self) -> str:
        return f"<LaneStats rows={self.rows} requests={self.latency_s.count} errors={dict(self.errors)} gone={self.gone}>"
