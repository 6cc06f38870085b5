"""Counts by bucket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salver.engine.stats import ROWS, SECONDS, Histogram

_BOUNDS = (1, 2, 4)


@given(st.lists(st.floats(0, 8)))
def test_every_value_is_in_the_first_bucket_that_holds_it(values: list[float]) -> None:
    histogram = Histogram(_BOUNDS)
    for value in values:
        histogram.observe(value)
    for i, bound in enumerate(_BOUNDS):
        assert sum(histogram.counts[: i + 1]) == sum(value <= bound for value in values)
    assert histogram.count == len(values)
    assert histogram.sum == pytest.approx(sum(values))


@given(st.lists(st.floats(0, 8)))
def test_many_at_once_are_counted_as_one_by_one(values: list[float]) -> None:
    one, many = Histogram(_BOUNDS), Histogram(_BOUNDS)
    for value in values:
        one.observe(value)
    many.observe_all(values)
    assert many.counts == one.counts
    assert many.sum == pytest.approx(one.sum)


@pytest.mark.parametrize("bounds", [SECONDS, ROWS])
def test_bounds_ascend(bounds: tuple[float, ...]) -> None:
    assert list(bounds) == sorted(set(bounds))
