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


@given(st.lists(st.integers(0, 8 * 10**9) | st.sampled_from([bound * 10**9 for bound in _BOUNDS]), min_size=1))
def test_many_at_once_are_counted_as_one_by_one(lengths_ns: list[int]) -> None:
    one, many, now_ns = Histogram(_BOUNDS), Histogram(_BOUNDS), 10**13
    for length_ns in lengths_ns:
        one.observe(length_ns * 1e-9)
    many.observe_since(sorted(now_ns - length_ns for length_ns in lengths_ns), now_ns)
    assert many.counts == one.counts
    assert many.sum == pytest.approx(one.sum)


@pytest.mark.parametrize("bounds", [SECONDS, ROWS])
def test_bounds_ascend(bounds: tuple[float, ...]) -> None:
    assert list(bounds) == sorted(set(bounds))
