"""The queue before a model, held against a list that does the same by hand."""

from __future__ import annotations

from contextlib import suppress

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
        batch, gone, _ = self.batcher.next()
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


def test_what_is_too_late_is_in_no_batch() -> None:
    batcher = Batcher(_LIMITS)
    made = [request(1) for _ in range(4)]
    made[0].deadline_ns, made[2].deadline_ns = 100, 200
    for one in made:
        batcher.put(one)
    assert batcher.next(now_ns=150) == (made[1:], 0, made[:1])
    batcher.put(made[2])
    assert batcher.next(now_ns=200) == ([], 0, [made[2]])
    assert len(batcher) == 0


def overloaded(batcher: Batcher, call_s: float, row_s: float, arriving: int, batches: int = 50) -> tuple[int, float]:
    """The rows of the last batch and how long it took, where so many requests want in during each batch."""
    rows, took_s = 1, call_s + row_s
    for _ in range(batches):
        for _ in range(arriving):
            with suppress(Overloaded):
                batcher.put(request(1))
        batcher.served(rows, took_s)
        rows = len(batcher.next()[0])
        took_s = call_s + row_s * rows
    return rows, took_s


def test_under_overload_the_wait_is_bounded_by_what_calls_take() -> None:
    for call_s, row_s in ((0.0, 0.01), (0.05, 0.001), (0.1, 0.00001)):
        _, took_s = overloaded(Batcher(Limits()), call_s, row_s, arriving=5000)
        assert took_s <= 24.5 * (call_s + row_s)


def test_batches_go_on_to_make_a_model_quick() -> None:
    """A call of 50 ms whatever the rows: overload is no reason to ask with few of them."""
    rows, _ = overloaded(Batcher(Limits()), 0.05, 0.00001, arriving=900)
    assert rows == 900


@pytest.mark.parametrize(("call_s", "row_s"), [(0.0, 0.01), (0.02, 0.002), (0.05, 0.0)])
def test_the_first_who_are_too_many_wait_no_longer_than_the_later_ones(call_s: float, row_s: float) -> None:
    """What was learnt while few came tells how many may come at once."""
    batcher = Batcher(Limits())
    for rows in [1, 2, 3, 1, 4, 2] * 20:
        batcher.served(rows, call_s + row_s * rows)
    taken = 0
    for _ in range(5000):
        with suppress(Overloaded):
            batcher.put(request(1))
            taken += 1
    assert (taken == 5000) == (row_s == 0.0)
    assert call_s + taken * row_s <= 25 * (call_s + row_s) + call_s


def test_the_room_comes_back_when_nothing_waits() -> None:
    batcher = Batcher(Limits())
    overloaded(batcher, 0.0, 0.01, arriving=500)
    assert batcher.room_rows < 60
    for rows in [1, 5, 20] * 150:  # a row costs next to nothing again
        batcher.next()
        batcher.served(rows, 0.01)
    assert batcher.room_rows == Limits().queue_rows
