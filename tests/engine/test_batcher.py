"""The queue before a model, held against a list that does the same by hand."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from salver.engine.batcher import Batcher, Limits
from salver.errors import Overloaded, TooLarge
from tests.engine.noted import Noted

_LIMITS = Limits(batch_rows=8, batch_bytes=80, queue_rows=20, queue_bytes=200)


def request(rows: int, size_bytes: int = 1) -> Noted:
    return Noted([[0.0]] * rows, size_bytes=size_bytes)


class Queue(RuleBasedStateMachine):
    """Any sequence of arrivals, departures and batches."""

    def __init__(self) -> None:
        super().__init__()
        self.batcher = Batcher(_LIMITS)
        self.waiting: list[Noted] = []

    @rule(rows=st.integers(0, 24), size_bytes=st.integers(0, 240))
    def put(self, rows: int, size_bytes: int) -> None:
        made = request(rows, size_bytes)
        if rows > _LIMITS.queue_rows or size_bytes > _LIMITS.queue_bytes:
            with pytest.raises(TooLarge):
                self.batcher.put(made)
        elif self.rows + rows > _LIMITS.queue_rows or self.bytes + size_bytes > _LIMITS.queue_bytes:
            with pytest.raises(Overloaded):
                self.batcher.put(made)
        else:
            self.batcher.put(made)
            self.waiting.append(made)

    @precondition(lambda self: self.waiting)
    @rule(place=st.integers(0, 100))
    def leave(self, place: int) -> None:
        self.waiting[place % len(self.waiting)].disconnected = True

    @rule()
    def next(self) -> None:
        batch, gone = self.batcher.next()
        taken, self.waiting = self.waiting[: len(batch) + gone], self.waiting[len(batch) + gone :]
        assert batch == [one for one in taken if not one.disconnected]
        assert gone == len(taken) - len(batch)
        rows, size = sum(one.count for one in batch), sum(one.size_bytes for one in batch)
        assert len(batch) <= 1 or (rows <= _LIMITS.batch_rows and size <= _LIMITS.batch_bytes)
        assert batch or not self.waiting, "somebody waits and nobody is served"

    @invariant()
    def counts_are_exact_and_bounded(self) -> None:
        assert (len(self.batcher), self.batcher.rows, self.batcher.bytes) == (len(self.waiting), self.rows, self.bytes)
        assert self.rows <= _LIMITS.queue_rows
        assert self.bytes <= _LIMITS.queue_bytes

    @property
    def rows(self) -> int:
        return sum(one.count for one in self.waiting)

    @property
    def bytes(self) -> int:
        return sum(one.size_bytes for one in self.waiting)


TestQueue = Queue.TestCase


def test_a_batch_is_as_full_as_its_bounds_allow() -> None:
    batcher = Batcher(_LIMITS)
    for rows in (3, 5, 1, 8, 4, 4):
        batcher.put(request(rows)) if batcher.rows + rows <= _LIMITS.queue_rows else None
    assert [[one.count for one in batcher.next()[0]] for _ in range(3)] == [[3, 5], [1], [8]]


def test_a_request_larger_than_a_batch_runs_alone() -> None:
    batcher = Batcher(_LIMITS)
    for rows in (1, 12, 1):
        batcher.put(request(rows))
    assert [[one.count for one in batcher.next()[0]] for _ in range(4)] == [[1], [12], [1], []]
