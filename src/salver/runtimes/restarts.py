"""When the process of a model that ended is started again, and when one that goes on is replaced. Pure: time comes in."""

from __future__ import annotations

FIRST_S = 0.1
LONGEST_S = 30.0
STEADY_S = 30.0


class Restarts:
    """At once after the first end, then after a wait that doubles with each, until a process has lived for a while.

    A model that dies of one request among many is so back for its neighbours at once; one that dies of every request, or
    can't be started at all, does not keep the machine busy. Where nobody waits for it, `at_once` is false.
    """

    def __init__(
        self, first_s: float = FIRST_S, longest_s: float = LONGEST_S, steady_s: float = STEADY_S, *, at_once: bool = True
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._steady_s = steady_s
        self._at_once = int(at_once)  # how many starts in a row are
        self._in_a_row = 0
        self._started_s: float | None = None
        self._due_s = 0.0

    def started(self, now_s: float) -> None:
        """A process is ready."""
        self._started_s = now_s

    def ended(self, now_s: float) -> float:
        """A process ended, or did not start. Returns after how many seconds the next may be started."""
        if self._started_s is not None and now_s - self._started_s >= self._steady_s:
            self._in_a_row = 0
        self._started_s = None
        waited = self._in_a_row - self._at_once
        wait_s = min(self._first_s * 2.0 ** min(waited, 40), self._longest_s) if waited >= 0 else 0.0
        self._in_a_row += 1
        self._due_s = now_s + wait_s
        return wait_s

    def wait_s(self, now_s: float) -> float:
        """Seconds until the next may be started."""
        return max(0.0, self._due_s - now_s)


class Wear:
    """Whether a process has grown too much, or answered often enough, to be replaced by a fresh one. 0 is no limit."""

    def __init__(self, growth_bytes: int, calls: int) -> None:
        self._growth_bytes = growth_bytes
        self._calls = calls
        self._answered = 0
        self._first_bytes = 0

    def fresh(self) -> None:
        """Another process has taken over."""
        self._answered = self._first_bytes = 0

    def worn(self, size_bytes: int) -> bool:
        """After an answer, from the memory that the process holds now (0: not known)."""
        self._answered += 1
        if not self._first_bytes:
            self._first_bytes = size_bytes
        grown = self._growth_bytes and size_bytes - self._first_bytes > self._growth_bytes
        return bool(grown) or bool(self._calls and self._answered >= self._calls)
