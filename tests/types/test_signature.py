"""What a model takes and gives, and tables of arrays."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from salver.errors import InputError
from salver.types.signature import Column, Output, Signature, concatenate, rows_of, take

SIGNATURE = Signature(
    (Column("a", "float32", nullable=True), Column("b", "category", categories=("x", 1, 2.5, True))),
    (Output("prediction", "int64", (2,), ((0, 1), ("no", "yes"))), Output("probabilities", shape=(2,))),
    "classification",
)


def test_it_survives_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(SIGNATURE), type=Signature) == SIGNATURE


def test_the_prediction_is_the_output_of_that_name_or_the_first() -> None:
    first, second = Output("a"), Output("prediction")
    assert Signature((), (first, second)).prediction is second
    assert Signature((), (first,)).prediction is first
    assert Signature((), (first,)).output("b") is None


def test_several_labels_a_row_need_classes_and_a_shape() -> None:
    assert SIGNATURE.prediction.is_multilabel
    assert not Output("prediction", classes=(0, 1)).is_multilabel
    assert not Output("prediction", shape=(2,)).is_multilabel


def test_rows_are_put_together_in_order_and_taken_apart_again() -> None:
    parts = [{"a": np.arange(n), "b": np.arange(n) * 2.0} for n in (3, 1, 2)]
    whole = concatenate(parts)
    assert whole["a"].tolist() == [0, 1, 2, 0, 0, 1]
    assert rows_of(whole) == 6
    assert take(whole, slice(3, 6))["b"].tolist() == [0.0, 0.0, 2.0]
    assert concatenate(parts[:1]) is parts[0]


def test_rows_of_different_shapes_are_not_put_together() -> None:
    with pytest.raises(InputError, match="different shapes"):
        concatenate([{"a": np.zeros((1, 2))}, {"a": np.zeros((1, 3))}])
