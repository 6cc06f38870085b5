"""Profiles: exact counts over bins that stay."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from salver.monitors.profile import BINS, Profile, counted, edges_of, numbers, profile_of, values
from salver.types.signature import Column, Output, Signature

SIGNATURE = Signature(
    (Column("x", nullable=True), Column("k", "category", categories=("a", "b"), nullable=True)),
    (Output("prediction", "int64", classes=("no", "yes")), Output("probabilities", "float64", (2,))),
    "classification",
)


@given(st.lists(st.floats(allow_nan=True), min_size=1), st.lists(st.floats(allow_nan=True)))
def test_profiles_of_parts_add_up(some: list[float], more: list[float]) -> None:
    edges = edges_of(np.array(some))
    assert list(edges) == sorted(set(edges))
    one, other, both = (counted(edges, np.array(rows, dtype=np.float64)) for rows in (some, more, some + more))
    assert tuple(a + b for a, b in zip(one, other, strict=True)) == both
    assert sum(both) == sum(not math.isnan(value) for value in some + more)


@given(st.lists(st.floats(-1e300, 1e300), min_size=1))
def test_nothing_that_was_seen_is_outside(seen: list[float]) -> None:
    counts = counted(edges_of(np.array(seen)), np.array(seen))
    assert counts[0] == counts[-1] == 0


def test_bins_have_the_same_mass_and_common_numbers_stand_alone() -> None:
    draw = np.random.default_rng(0)
    made = numbers(draw.normal(size=10_000))
    assert set(made.counts[1:-1]) == {10_000 // BINS}
    zeros = numbers(np.concatenate([np.zeros(5000), draw.normal(size=5000)]))
    assert 5000 in zeros.counts
    assert numbers(np.array([math.nan, 1.0, math.inf])).counts == (0, 1, 1)
    assert numbers(np.array([math.nan])).missing == 1


def test_values_are_ranked_and_the_rest_counted() -> None:
    made = values(["b", "a", "a", None, *[str(i) for i in range(100)]])
    assert made.values[0] == "a"
    assert made.counts[0] == 2
    assert made.missing == 1
    assert sum(made.counts) + made.other + made.missing == made.rows


def test_a_profile_of_rows_and_answers() -> None:
    columns = {"x": np.array([1.0, 2.0, math.nan]), "k": np.array(["a", None, "a"], dtype=object)}
    outputs = {"prediction": np.array([0, 1, 0]), "probabilities": np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])}
    made = profile_of(SIGNATURE, columns, outputs, np.array([0, 1, 1]))
    assert set(made.columns) == {"x", "k"}
    assert set(made.outputs) == {"prediction", "probabilities:no", "probabilities:yes"}
    assert made.outputs["prediction"] == values(["no", "yes", "no"])
    assert made.labels == values(["no", "yes", "yes"])
    assert sum(made.calibration["yes"].hits) == 2
    assert msgspec.json.decode(msgspec.json.encode(made), type=Profile) == made
