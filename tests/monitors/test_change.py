"""When a mean changed last: found where it is, and seldom where it is not."""

from __future__ import annotations

import numpy as np
import pytest

from salver.monitors.change import last_change


def test_no_change_is_seldom_one() -> None:
    """One in a hundred is promised: of 300, ten or more come by chance once in a thousand times."""
    draw = np.random.default_rng(0)
    found = [last_change(draw.normal(size=2000), before) for _ in range(150) for before in (0.0, 5000.0)]
    assert sum(at is not None for at in found) < 10


@pytest.mark.parametrize("before", [0.0, 5000.0])
def test_the_last_of_several_changes_is_found(before: float) -> None:
    draw = np.random.default_rng(1)
    values = draw.normal(size=6000) * 0.3
    values[2000:] += 0.2
    values[4500:] -= 0.3
    at = last_change(values, before)
    assert at is not None and abs(at - 4500) < 60


def test_all_of_it_may_be_another_than_what_came_before() -> None:
    values = np.random.default_rng(2).normal(0.2, 1, 3000)
    assert last_change(values) is None
    assert last_change(values, 10_000) in range(200)


@pytest.mark.parametrize("values", [[], [1.0], [0.5] * 1000])
def test_what_says_nothing_is_no_change(values: list[float]) -> None:
    assert last_change(np.array(values), 100) is None
