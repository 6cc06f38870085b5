"""Streams of numbers that change, and those that do not."""

from __future__ import annotations

import random

import numpy as np
import pytest

from salver.monitors.changes import Adwin, PageHinkley


def stream() -> list[int]:
    """river's own example: a thousand of 0 and 1, then a thousand of 4 to 7."""
    draw = random.Random(12345)
    return draw.choices([0, 1], k=1000) + draw.choices(range(4, 8), k=1000)


@pytest.mark.parametrize(("detector", "at"), [(PageHinkley(), 1006), (Adwin(), 1023)])
def test_a_change_is_seen_where_river_sees_it(detector: PageHinkley | Adwin, at: int) -> None:
    assert [i for i, value in enumerate(stream()) if detector.update(value)] == [at]


@pytest.mark.parametrize("make", [PageHinkley, Adwin])
def test_no_change_where_there_is_none(make: type[PageHinkley] | type[Adwin]) -> None:
    """Of losses, one of ten is 1."""
    draw, found = np.random.default_rng(0), 0
    for _ in range(10):
        detector = make()
        found += sum(detector.update(value) for value in (draw.random(2000) < 0.1).tolist())
    assert found <= 1


def test_a_fall_is_seen_as_a_rise_is() -> None:
    for make in (PageHinkley, Adwin):
        up, down = make(), make()
        assert [up.update(value) for value in stream()] == [down.update(-value) for value in stream()]


def test_the_window_forgets_what_was_before_the_change() -> None:
    detector = Adwin()
    for value in stream():
        detector.update(value)
    assert detector.width < 1100 and detector.mean == pytest.approx(5.5, abs=0.2)
