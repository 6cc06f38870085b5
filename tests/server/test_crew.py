"""Which workers are started, and which are ended."""

from __future__ import annotations

from salver.server.crew import Crew


def test_every_place_is_due_at_first_and_none_once_started() -> None:
    crew = Crew(2)
    assert crew.due(0.0) == [0, 1]
    for place in (0, 1):
        crew.started(place, 100 + place, 0.0)
    assert crew.due(0.0) == []
    assert crew.wait_s(0.0) is None


def test_one_that_ended_is_started_at_once_and_then_ever_later() -> None:
    crew = Crew(1)
    waits: list[float] = []
    now_s = 0.0
    for pid in range(1, 6):
        crew.started(0, pid, now_s)
        found = crew.ended(pid, now_s + 0.01)
        assert found
        waits.append(found[1])
        now_s += 0.01 + found[1]
        if found[1]:
            assert crew.due(now_s - 0.001) == []
        assert crew.due(now_s + 1e-9) == [0]
    assert waits[0] == 0
    assert waits == sorted(waits)
    assert waits[-1] > 0.5


def test_one_that_lived_for_long_is_started_at_once() -> None:
    crew = Crew(1)
    for pid, at_s in ((1, 0.0), (2, 1.0), (3, 2.0)):
        crew.started(0, pid, at_s)
        crew.ended(pid, at_s + 0.1)
    crew.started(0, 4, 10.0)
    assert crew.ended(4, 1000.0) == (0, 0.0)


def test_the_end_of_a_stranger_is_nothing() -> None:
    crew = Crew(1)
    crew.started(0, 7, 0.0)
    assert crew.ended(8, 1.0) is None
    assert crew.pids == {0: 7}


def test_one_that_is_not_seen_for_long_hangs_whatever_the_others_do() -> None:
    crew = Crew(2, hung_s=10)
    crew.started(0, 1, 0.0)
    crew.started(1, 2, 0.0)
    crew.seen(1, 9.0)
    assert crew.hung(10.0) == []
    assert crew.hung(10.1) == [0]
    crew.seen(0, 10.2)
    assert crew.hung(19.1) == [1]


def test_what_could_not_be_started_waits_too() -> None:
    crew = Crew(1)
    assert crew.failed(0, 0.0) == 0.0
    assert crew.failed(0, 0.0) > 0
    assert crew.due(0.0) == []
