"""Which waiting requests run together. Pure: no clock, no threads, no I/O."""

from __future__ import annotations

import math
from collections import deque

import msgspec

from salver.engine.request import Request
from salver.errors import Overloaded, TooLarge

_WAIT_CALLS = 24  # of the shortest calls, which a request may wait …
_WAIT_S = 0.05  # … or this, where that is longer
_ALWAYS = 8  # requests that may wait in any case
_NEWEST = 0.05  # the weight of the newest batch in what a row costs
_SPREAD = 0.2  # how much batches must differ in rows, beside their mean, to tell
_FULL = "more requests wait for the model than it answers in good time; try again a little later"


class Limits(msgspec.Struct, frozen=True):
    """Bounds on a batch and on the queue before it."""

    batch_rows: int = 1024
    batch_bytes: int = 16 * 2**20
    queue_rows: int = 65_536
    queue_bytes: int = 256 * 2**20


class Cost:
    """What a row more costs: the slope of the line through what batches took, the newest counting most.

    Weighted exponentially, as in T. Finch, Incremental calculation of weighted mean and variance, 2009.
    """

    def __init__(self) -> None:
        self._rows = self._took_s = self._variance = self._covariance = 0.0
        self._a_row_s = 0.0

    def learn(self, rows: int, took_s: float) -> None:
        """A batch of so many rows took so long."""
        if not self._rows:
            self._rows, self._took_s = rows, took_s
        by_rows, by_s = rows - self._rows, took_s - self._took_s
        self._rows += _NEWEST * by_rows
        self._took_s += _NEWEST * by_s
        self._variance = (1 - _NEWEST) * (self._variance + _NEWEST * by_rows * by_rows)
        self._covariance = (1 - _NEWEST) * (self._covariance + _NEWEST * by_rows * by_s)
        if self._variance > (_SPREAD * self._rows) ** 2:  # of batches that are all alike nothing is learnt
            self._a_row_s = max(self._covariance / self._variance, 0.0)

    def rows_in(self, time_s: float) -> int:
        """How many rows are answered in that time, one at least."""
        return max(1, int(min(time_s / self._a_row_s, 2**62))) if self._a_row_s else 2**62


class Batcher:
    """A queue of requests, cut into batches in order of arrival.

    A request larger than a batch's bounds is a batch of its own. A request that does not fit the queue's bounds is refused at
    once with Overloaded; one that could never fit, with TooLarge. A request whose deadline is over never comes into a batch.

    How many rows may wait is also learnt from what batches take (`served`): what is let in is to be answered within a few of
    the shortest calls. What waits forms the next batch, or a few where one can't hold it: when these would take too long, the
    room shrinks in proportion; a batch that left nothing waiting, or was quick although the room was used, doubles it, up to
    the rows that fit in that time by what a row more has cost so far.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._queue_rows, self._queue_bytes = limits.queue_rows, limits.queue_bytes
        self.room_rows = limits.queue_rows
        self._least_s = math.inf
        self._cost = Cost()
        self.full_bytes: float = math.inf  # a request of that size found no room since the last batch was taken
        self._hurried = 0  # requests that wait and have a deadline
        self.rows = 0
        self.bytes = 0
        self._waiting: deque[Request] = deque()

    def __repr__(self) -> str:
        return f"<Batcher waiting={len(self._waiting)} rows={self.rows} bytes={self.bytes}>"

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, request: Request) -> None:
        """Take a request into the queue. Raises Overloaded or TooLarge, and then nothing has changed."""
        rows = self.rows + request.count
        size = self.bytes + request.size_bytes
        if rows > self.room_rows or size > self._queue_bytes:
            self._require_room(request, rows, size)
        if request.deadline_ns:
            self._hurried += 1
        self.rows = rows
        self.bytes = size
        self._waiting.append(request)

    def require_room(self, size_bytes: int) -> None:
        """Raises Overloaded for a request that is not read yet, when one no larger found no room beside those that wait."""
        if size_bytes >= self.full_bytes:
            raise Overloaded(_FULL)

    def next(self, now_ns: int = 0) -> tuple[list[Request], int, list[Request]]:
        """The next batch (empty when nothing waits), how many requests were dropped because nobody waits for them, and those
        whose deadline was over."""
        batch: list[Request] = []
        late: list[Request] = []
        gone = 0
        while self._waiting and not batch:
            taken = self._take()
            batch = [request for request in taken if not request.disconnected]
            gone += len(taken) - len(batch)
            if self._hurried:
                self._hurried -= sum(request.deadline_ns > 0 for request in taken)
                late += [request for request in batch if 0 < request.deadline_ns <= now_ns]
                batch = [request for request in batch if not 0 < request.deadline_ns <= now_ns]
        return batch, gone, late

    def served(self, rows: int, took_s: float) -> None:
        """A batch of so many rows took so long: learn how many may wait."""
        self._least_s = min(self._least_s, took_s)
        self._cost.learn(rows, took_s)
        bound_s = max(_WAIT_CALLS * self._least_s, _WAIT_S)
        limits = self.limits
        batches = max(1.0, self.rows / limits.batch_rows, self.bytes / limits.batch_bytes)  # that those who wait now make
        if took_s * batches > bound_s:
            self.room_rows = max(1, int(rows * bound_s / took_s))
        elif not self._waiting or (2 * rows >= self.room_rows and 2 * took_s < bound_s):
            self.room_rows = min(2 * self.room_rows, self._queue_rows, self._cost.rows_in(bound_s))

    def _require_room(self, request: Request, rows: int, size: int) -> None:
        """Raises Overloaded or TooLarge, but for the first few, which may wait however long they take."""
        most_rows, most = self._queue_rows, self._queue_bytes
        if request.count > most_rows or request.size_bytes > most:
            raise TooLarge(f"a request may have at most {most_rows} rows and {most} bytes; send it in parts")
        if rows > most_rows or size > most or len(self._waiting) >= _ALWAYS:
            self.full_bytes = min(self.full_bytes, request.size_bytes)
            raise Overloaded(_FULL)

    def _take(self) -> list[Request]:
        self.full_bytes = math.inf
        limits, waiting = self.limits, self._waiting
        if self.rows > limits.batch_rows or self.bytes > limits.batch_bytes:
            return self._take_some()
        taken = list(waiting)
        waiting.clear()
        self.rows = self.bytes = 0
        return taken

    def _take_some(self) -> list[Request]:
        """As many requests, in order, as a batch's bounds allow; one at least."""
        limits, waiting = self.limits, self._waiting
        taken: list[Request] = []
        rows = size = 0
        while waiting:
            request = waiting[0]
            rows += request.count
            size += request.size_bytes
            if taken and (rows > limits.batch_rows or size > limits.batch_bytes):
                break
            taken.append(waiting.popleft())
            self.rows -= request.count
            self.bytes -= request.size_bytes
        return taken
