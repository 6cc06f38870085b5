"""How far a job is. Pure: the time comes in."""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec


class Progress(msgspec.Struct, frozen=True):
    """`rows` and `bad` of all parts so far, `total` where it is known; rates are of this run."""

    rows: int
    bad: int
    total: int | None
    seconds: float
    rows_per_s: float

    @property
    def left_s(self) -> float | None:
        """Seconds that are left at this rate; None where that is not known."""
        if self.total is None or not self.rows_per_s:
            return None
        return max(0.0, (self.total - self.rows - self.bad) / self.rows_per_s)

    def __str__(self) -> str:
        of = f" of {self.total:,}" if self.total is not None else ""
        left = f", {_span(self.left_s)} left" if self.left_s is not None else ""
        bad = f", {self.bad:,} bad" if self.bad else ""
        return f"{self.rows + self.bad:,}{of} rows, {self.rows_per_s:,.0f} rows/s{left}{bad}"


class Meter:
    """Counts from any number of threads."""

    def __init__(self, before_rows: int, before_bad: int, total: int | None, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._started_s = clock()
        self._lock = threading.Lock()
        self._rows, self._bad = before_rows, before_bad
        self._before = before_rows + before_bad
        self._total = total

    def add(self, rows: int, bad: int) -> None:
        with self._lock:
            self._rows += rows
            self._bad += bad

    def now(self) -> Progress:
        seconds = max(self._clock() - self._started_s, 1e-9)
        rate = (self._rows + self._bad - self._before) / seconds
        return Progress(self._rows, self._bad, self._total, seconds, rate)


def _span(seconds: float | None) -> str:
    whole = round(seconds or 0)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"
