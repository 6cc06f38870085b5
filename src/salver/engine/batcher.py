"""Which waiting requests run together. Pure: no clock, no threads, no I/O."""

from __future__ import annotations

from collections import deque

import msgspec

from salver.engine.request import Request
from salver.errors import Overloaded, SalverError, TooLarge


class Limits(msgspec.Struct, frozen=True):
    """Bounds on a batch and on the queue before it."""

    batch_rows: int = 1024
    batch_bytes: int = 16 * 2**20
    queue_rows: int = 65_536
    queue_bytes: int = 256 * 2**20


class Batcher:
    """A queue of requests, cut into batches in order of arrival.

    A request larger than a batch's bounds is a batch of its own. A request that does not fit the queue's bounds is refused at
    once with Overloaded; one that could never fit, with TooLarge.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._queue_rows, self._queue_bytes = limits.queue_rows, limits.queue_bytes
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
        if rows > self._queue_rows or size > self._queue_bytes:
            raise self._refusal(request)
        self.rows = rows
        self.bytes = size
        self._waiting.append(request)

    def next(self) -> tuple[list[Request], int]:
        """The next batch (empty when nothing waits), and how many requests were dropped because nobody waits for them."""
        batch: list[Request] = []
        gone = 0
        while self._waiting and not batch:
            taken = self._take()
            batch = [request for request in taken if not request.disconnected]
            gone += len(taken) - len(batch)
        return batch, gone

    def _refusal(self, request: Request) -> SalverError:
        rows, size = self._queue_rows, self._queue_bytes
        if request.count > rows or request.size_bytes > size:
            return TooLarge(f"a request may have at most {rows} rows and {size} bytes; send it in parts")
        return Overloaded("the model's queue is full; try again a little later")

    def _take(self) -> list[Request]:
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
