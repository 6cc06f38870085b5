"""How fast a key may ask: a token bucket, kept as the one moment at which it will be full again. Pure.

The generic cell rate algorithm (ITU-T I.371): a bucket of `burst` tokens that gains one every `step_ns` is full at `full_ns`; a
request moves that moment by a step, and is refused when it would lie more than a whole bucket ahead. Whole numbers throughout,
nothing to refill.
"""

from __future__ import annotations


class Bucket:
    """Not shared: each worker process has its own."""

    __slots__ = ("_ahead_ns", "_full_ns", "_step_ns")

    def __init__(self, requests_per_s: int, burst: int = 0) -> None:
        self._step_ns = 10**9 // requests_per_s
        self._ahead_ns = self._step_ns * ((burst or requests_per_s) - 1)
        self._full_ns = 0

    def take(self, now_ns: int) -> bool:
        """Whether one more request may come at `now_ns`, a monotonic time; if so, it has."""
        full_ns = self._full_ns
        if full_ns <= now_ns:
            self._full_ns = now_ns + self._step_ns
            return True
        if full_ns - now_ns > self._ahead_ns:
            return False
        self._full_ns = full_ns + self._step_ns
        return True

    def wait_s(self, now_ns: int) -> float:
        """Seconds until one more may come."""
        return max(self._full_ns - now_ns - self._ahead_ns, 0) / 1e9
