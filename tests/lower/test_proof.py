"""A lowering is served only when it agrees, and what was found survives being written."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from salver.artifact.manifest import Attempt
from salver.lower.proof import largest_difference, prove
from salver.types.signature import Columns, Output, Signature, take

_SIGNATURE = Signature((), (Output("prediction", "int64", classes=("no", "yes")), Output("scores")))
_ROWS = 300


def answers() -> Columns:
    rng = np.random.default_rng(0)
    return {"prediction": rng.integers(0, 2, _ROWS), "scores": rng.normal(0, 100, _ROWS)}


def proven(answer: Columns, expected: Columns | None = None) -> Attempt:
    attempt = prove("test", _SIGNATURE, expected or answers(), lambda rows: take(answer, rows), 1e-6)
    return msgspec.json.decode(msgspec.json.encode(attempt), type=Attempt)


def changed(name: str, row: int, value: float) -> Columns:
    made = answers()
    made[name][row] = value
    return made


def test_equal_answers_are_proven_on_all_rows() -> None:
    attempt = proven(answers())
    assert (attempt.proven, attempt.rows, attempt.label_flips, attempt.largest_difference) == (True, _ROWS, 0, 0.0)


@pytest.mark.parametrize("row", [0, 1, 3, 150, _ROWS - 1])
def test_one_other_label_anywhere_is_no_proof(row: int) -> None:
    attempt = proven(changed("prediction", row, 1 - answers()["prediction"][row]))
    assert (attempt.proven, attempt.label_flips) == (False, 1)
    assert "1 of 300 labels differ" in attempt.reason


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, 0.123])
def test_another_number_is_no_proof(value: float) -> None:
    attempt = proven(changed("scores", 7, value))
    assert not attempt.proven
    assert attempt.largest_difference > 1e-6


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_equals_itself(value: float) -> None:
    made = changed("scores", 7, value)
    assert proven(made, made).proven


def test_a_difference_within_the_tolerance_is_a_proof() -> None:
    made = answers()
    made["scores"] *= 1 + 1e-7
    attempt = proven(made)
    assert attempt.proven
    assert 0 < attempt.largest_difference <= 1e-6


def test_other_shapes_are_no_proof() -> None:
    made = answers()
    made["scores"] = made["scores"][:, None]
    assert not proven(made).proven


def test_an_exception_is_the_reason() -> None:
    attempt = proven({"prediction": answers()["prediction"]})
    assert (attempt.proven, attempt.reason) == (False, "KeyError on proof rows")


def test_the_difference_is_relative_for_large_numbers_and_absolute_for_small_ones() -> None:
    assert largest_difference(np.array([1000.0, 0.001]), np.array([1001.0, 0.001])) == pytest.approx(0.001)
    assert largest_difference(np.array([0.0]), np.array([0.5])) == 0.5
