"""Which workers are to be started, and which are to be ended because they hang. Pure: time and events come in."""

from __future__ import annotations

from salver.runtimes.restarts import Restarts

HUNG_S = 20.0
"""A worker whose event loop has not turned for so long is ended: nothing that it should do takes a tenth of that."""


class Crew:
    """The processes in the places of a server's workers. A place is started again after longer and longer waits."""

    def __init__(self, count: int, hung_s: float = HUNG_S) -> None:
        self.pids: dict[int, int] = {}  # by place
        self._hung_s = hung_s
        self._restarts = [Restarts() for _ in range(count)]
        self._seen_s = [0.0] * count

    def __repr__(self) -> str:
        return f"<Crew {self.pids}>"

    def due(self, now_s: float) -> list[int]:
        """The places that want a worker now."""
        return [
            place for place, restarts in enumerate(self._restarts) if place not in self.pids and restarts.wait_s(now_s) <= 0
        ]

    def wait_s(self, now_s: float) -> float | None:
        """Seconds until a place will be due; None when every one has its worker."""
        waits = [restarts.wait_s(now_s) for place, restarts in enumerate(self._restarts) if place not in self.pids]
        return min(waits, default=None)

    def started(self, place: int, pid: int, now_s: float) -> None:
        """A worker was started."""
        self.pids[place] = pid
        self._seen_s[place] = now_s
        self._restarts[place].started(now_s)

    def failed(self, place: int, now_s: float) -> float:
        """A worker could not be started. Returns after how many seconds that is tried again."""
        return self._restarts[place].ended(now_s)

    def ended(self, pid: int, now_s: float) -> tuple[int, float] | None:
        """A process ended: its place, and after how many seconds another is started; None when it was no worker."""
        for place, known in self.pids.items():
            if known == pid:
                del self.pids[place]
                return place, self._restarts[place].ended(now_s)
        return None

    def seen(self, place: int, at_s: float) -> None:
        """The worker's event loop turned at that time."""
        self._seen_s[place] = max(self._seen_s[place], at_s)

    def hung(self, now_s: float) -> list[int]:
        """The places whose worker has not been seen for too long."""
        return [place for place in self.pids if now_s - self._seen_s[place] > self._hung_s]
