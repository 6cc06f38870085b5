"""When a model's process is started again, without any process and without waiting."""

from __future__ import annotations

from salver.runtimes.restarts import Restarts, Wear


def test_the_first_is_started_at_once_and_each_further_one_later() -> None:
    restarts = Restarts(first_s=0.1, longest_s=30, steady_s=30)
    waits = [restarts.ended(now) for now in range(12)]
    assert waits[:5] == [0.0, 0.1, 0.2, 0.4, 0.8]
    assert waits == sorted(waits)
    assert waits[-1] == 30


def test_one_that_nobody_waits_for_is_never_started_at_once() -> None:
    restarts = Restarts(first_s=60, longest_s=600, at_once=False)
    assert [restarts.ended(0) for _ in range(6)] == [60, 120, 240, 480, 600, 600]
    restarts.started(1000)
    assert restarts.ended(1030) == 60


def test_one_that_lived_long_enough_starts_from_the_beginning() -> None:
    restarts = Restarts(first_s=1, steady_s=30)
    assert [restarts.ended(0), restarts.ended(0)] == [0, 1]
    restarts.started(10)
    assert restarts.ended(39) == 2
    restarts.started(50)
    assert restarts.ended(80) == 0


def test_how_long_is_left_is_never_negative() -> None:
    restarts = Restarts(first_s=4)
    restarts.ended(0)
    restarts.ended(10)
    assert [restarts.wait_s(now) for now in (10, 13, 99)] == [4, 1, 0]


def test_it_goes_on_for_ever_without_overflow() -> None:
    restarts = Restarts()
    assert max(restarts.ended(0.0) for _ in range(5000)) == 30


def test_growth_is_counted_from_the_first_answer() -> None:
    wear = Wear(growth_bytes=100, calls=0)
    assert [wear.worn(size) for size in (1000, 1100, 1101)] == [False, False, True]
    wear.fresh()
    assert not wear.worn(5000)


def test_calls_are_counted() -> None:
    wear = Wear(growth_bytes=0, calls=2)
    assert [wear.worn(size) for size in (0, 10**12)] == [False, True]


def test_without_limits_nothing_wears() -> None:
    wear = Wear(0, 0)
    assert not any(wear.worn(size) for size in (1, 10**15))


def test_where_memory_is_not_known_only_calls_count() -> None:
    assert not any(Wear(1, 0).worn(0) for _ in range(3))
