"""Profiles and windows: exact counts over cells that stay."""

from __future__ import annotations

import math
import random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salver.monitors.bins import BINS, NumberBins, ValueBins, number_bins, value_bins
from salver.monitors.calibration import Calibration, calibrated, errors_of, isotonic
from salver.monitors.estimate import Z
from salver.monitors.profile import Profile, column_profile, dispersion, profile_of
from salver.monitors.window import Window, together, window_of
from salver.types.signature import Column, Output, Signature

SIGNATURE = Signature(
    (Column("x", nullable=True), Column("k", "category", categories=("a", "b"), nullable=True)),
    (Output("prediction", "int64", classes=("no", "yes")), Output("probabilities", "float64", (2,))),
    "classification",
)


@given(st.lists(st.floats(allow_nan=True), min_size=1), st.lists(st.floats(allow_nan=True)))
def test_profiles_of_parts_add_up(some: list[float], more: list[float]) -> None:
    bins = number_bins(np.array(some))
    assert list(bins.edges) == sorted(set(bins.edges))
    one, other, both = (bins.count(np.array(rows, dtype=np.float64)) for rows in (some, more, some + more))
    assert (one + other == both).all()
    assert both.sum() == len(some + more), "every row is in one cell"
    assert both[0] == sum(math.isnan(value) for value in some + more)
    assert both[1] == sum(math.isinf(value) for value in some + more)
    assert len(bins.names) == bins.size == len(both)


@given(st.lists(st.floats(), min_size=1, max_size=60))
def test_many_values_are_counted_as_few_are(some: list[float]) -> None:
    bins, many = number_bins(np.array(some)), np.array(some * 500)
    assert (bins.count(many) == bins.count(many, np.ones(len(many), dtype=np.int64))).all()


@given(st.lists(st.floats(-1e300, 1e300), min_size=1))
def test_nothing_that_was_seen_is_outside(seen: list[float]) -> None:
    counts = number_bins(np.array(seen)).count(np.array(seen))
    assert counts[2] == counts[-1] == 0


@given(st.lists(st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["a", "1", "", "true"]), st.floats())))
def test_values_of_any_kinds_are_counted_once(mixed: list[Any]) -> None:
    bins = value_bins(mixed)
    counts = bins.count(mixed)
    assert counts.sum() == len(mixed)
    weights = np.full(len(mixed), 3)
    assert (bins.count(mixed, weights) == 3 * counts).all()
    assert (bins.count(random.sample(mixed, len(mixed))) == counts).all()
    assert len(bins.names) == bins.size


def test_bins_have_the_same_mass_and_common_numbers_stand_alone() -> None:
    draw = np.random.default_rng(0)
    made = column_profile(draw.normal(size=10_000))
    assert set(made.counts[3:-1]) == {10_000 // BINS}
    zeros = column_profile(np.concatenate([np.zeros(5000), draw.normal(size=5000)]))
    assert 5000 in zeros.counts
    odd = column_profile(np.array([math.nan, 1.0, math.inf]))
    assert odd.counts == (1, 1, 0, 1, 0)
    assert column_profile(np.array([math.nan])).missing == 1


def test_values_are_ranked_and_the_rest_counted() -> None:
    made = column_profile(np.array(["b", "a", "a", None, *[str(i) for i in range(100)]], dtype=object))
    assert isinstance(made.bins, ValueBins)
    assert made.bins.values[0] == "a"
    assert made.counts[1] == 2
    assert made.missing == 1
    assert made.rows == 104


def test_a_profile_of_rows_and_answers() -> None:
    columns = {"x": np.array([1.0, 2.0, math.nan]), "k": np.array(["a", None, "a"], dtype=object)}
    outputs = {"prediction": np.array([0, 1, 0]), "probabilities": np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])}
    made = profile_of(SIGNATURE, columns, outputs, np.array([0, 1, 1]))
    assert set(made.columns) == {"x", "k"}
    assert set(made.outputs) == {"prediction", "probabilities:yes"}, "of two probabilities the second says it all"
    assert made.outputs["prediction"].bins == ValueBins(("no", "yes"))
    assert made.labels is not None and made.labels.bins == ValueBins(("yes", "no"))
    assert made.calibration is None, "three labels calibrate nothing"
    assert msgspec.json.decode(msgspec.json.encode(made), type=Profile) == made


def test_rates_rise_with_the_probability() -> None:
    assert isotonic(np.array([1, 3, 2]), np.array([4, 4, 4])).tolist() == [0.25, 0.625, 0.625]
    assert isotonic(np.array([0, 0, 4]), np.array([0, 0, 4])).tolist() == [1, 1, 1]
    assert isotonic(np.array([0]), np.array([0])).tolist() == [0.5]


def rows(count: int, seed: int) -> tuple[Any, Any]:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=count)
    x[draw.random(count) < 0.1] = np.nan
    x[draw.random(count) < 0.01] = np.inf
    p = draw.random(count)
    names = np.array([*"abc", None], dtype=object)[draw.integers(0, 4, count)]
    said = np.array(["no", "yes"], dtype=object)[(p > 0.5).astype(int)]
    return {"x": x, "k": names}, {"prediction": said, "probabilities:no": 1 - p, "probabilities:yes": p}


def reference() -> Profile:
    columns, outputs = rows(2000, 0)
    p = outputs["probabilities:yes"]
    raw = {"prediction": (p > 0.5).astype(int), "probabilities": np.stack([1 - p, p]).T}
    labels = (np.random.default_rng(9).random(2000) < p).astype(int)
    return profile_of(SIGNATURE, columns, raw, labels)


@pytest.mark.parametrize("workers", [2, 3, 8])
def test_any_number_of_workers_is_one_worker_bit_for_bit(workers: int) -> None:
    profile, (columns, outputs) = reference(), rows(1000, 1)
    whole = window_of(profile, columns, outputs)
    of_worker = np.random.default_rng(workers).integers(0, workers, 1000)
    parts = [
        window_of(profile, *({name: array[of_worker == w] for name, array in part.items()} for part in (columns, outputs)))
        for w in range(workers)
    ]
    random.Random(workers).shuffle(parts)
    assert together(parts).to_bytes() == whole.to_bytes()
    assert Window.from_bytes(whole.to_bytes()) == whole
    assert whole.sure is not None and whole.sure.sum() == 1000


def test_weights_count_as_so_many_rows() -> None:
    profile, (columns, outputs) = reference(), rows(100, 1)
    weighed = window_of(profile, columns, outputs, weights=np.full(100, 10))
    plain = window_of(profile, columns, outputs)
    assert all((weighed.counts[name] == 10 * counts).all() for name, counts in plain.counts.items())
    assert weighed.design_effect == 10 and plain.design_effect == 1


def test_what_sways_between_blocks_is_priced_in() -> None:
    draw = np.random.default_rng(0)
    steady = draw.normal(size=10_000)
    swaying = steady + np.repeat(draw.normal(size=10) * 0.2, 1000)
    assert column_profile(steady, by_time=True).dispersion < 1.4
    found = column_profile(swaying, by_time=True)
    assert found.dispersion > 2
    assert column_profile(swaying).dispersion == 1, "where the order means nothing"
    assert 1 < found.dispersion_at(100) < found.dispersion_at(1000) == pytest.approx(found.dispersion)
    assert dispersion(np.zeros((10, 3), dtype=np.int64)) == 1
    assert NumberBins().size == 3


def test_an_estimate_has_the_chance_of_its_labels() -> None:
    """Of fifty rows that are right half the time: sqrt(0.25 / 50), as NannyML has it."""
    calibration = Calibration(("a",), NumberBins((0.0, 1.0)), ((0, 0, 0, 10**9, 0),), ((0, 0, 0, 10**9 // 2, 0),))
    found = calibration.accuracy(np.array([[0, 0, 0, 50, 0]]))
    assert (found.high - found.value) / Z == pytest.approx(0.0707, abs=5e-5)


def test_labels_that_came_lately_correct_an_estimate() -> None:
    """What rows mean has changed; and an estimate that has moved says that it knows less."""
    draw = np.random.default_rng(0)
    p = draw.uniform(0.5, 1, 20_000)
    right = draw.random(20_000) < p
    first = calibrated(["a"], np.zeros(20_000, np.int64), p, right)
    assert first is not None
    now = first.count(np.zeros(5000, np.int64), p[:5000])
    worse = first.refitted(np.zeros(15_000, np.int64), p[5000:], right[5000:] & (draw.random(15_000) < 0.8))
    usual, corrected = (of.estimates(now)["accuracy"] for of in (first, worse))
    assert abs(usual.value - 0.75) < 0.01 and abs(corrected.value - 0.6) < 0.015
    as_ever = first.refitted(np.zeros(15_000, np.int64), p[5000:], right[5000:])
    assert sum(as_ever.counts[0]) == 35_000, "what has not changed counts in full"
    assert usual.low < first.accuracy(now).value < usual.high
    sure = first.count(np.zeros(5000, np.int64), np.full(5000, 0.99))
    told, narrow = first.estimates(sure)["accuracy"], first.accuracy(sure)
    assert told.value == narrow.value and told.value - told.low > 3 * (narrow.value - narrow.low)


def test_labels_that_came_lately_correct_expected_errors() -> None:
    draw = np.random.default_rng(0)
    signature = Signature((Column("x"),), (Output("prediction", "float64"),), "regression")
    predicted = draw.uniform(0, 10, 5000)
    errors = errors_of(signature, {"prediction": predicted}, predicted + draw.normal(0, 1 + predicted / 10))
    assert errors is not None
    same = errors.refitted(predicted[:0], predicted[:0])
    assert same.absolute == pytest.approx(errors.absolute) and same.counts == errors.counts
    twice = errors.refitted(predicted, 2 * draw.normal(0, 1 + predicted / 10))
    counts = errors.bins.count(predicted)
    before, after = (of.estimates(counts) for of in (errors, twice))
    assert after["mae"].value / before["mae"].value == pytest.approx(1 + 10 / 11, abs=0.05)
    assert after["rmse"].value / before["rmse"].value == pytest.approx(np.sqrt(1 + 3 * 10 / 11), abs=0.08)
