"""Example rows lie in the range in which the model answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, SplineTransformer

from salver.frameworks.sklearn import adapt
from salver.lower.golden import golden_rows, plain_rows
from salver.types.signature import rows_of
from tests.conformance.tables import numbers


def examples(*steps: Any, low: float = -np.inf) -> Any:
    X, y = numbers()
    return plain_rows(adapt(make_pipeline(*steps, Ridge()).fit(np.maximum(X, low), y)))


def test_an_example_is_inside_the_range() -> None:
    X, _ = numbers()
    made = examples(SplineTransformer(4, extrapolation="error"))
    for i, values in enumerate(made.values()):
        assert X[:, i].min() <= values.min() <= values.max() <= X[:, i].max()


@pytest.mark.parametrize("function", [np.log, np.log1p, np.sqrt])
def test_an_example_is_above_where_a_function_begins(function: Any) -> None:
    made = examples(FunctionTransformer(function), low=0.1)
    assert all((values > 0).all() for values in made.values())


def test_an_example_has_short_numbers() -> None:
    made = examples(FunctionTransformer())
    assert all(len(repr(value)) <= 9 for values in made.values() for value in values.tolist())


def test_golden_rows_begin_with_examples_and_hold_the_originals_answers() -> None:
    trained = adapt(Ridge().fit(*numbers()))
    plain = plain_rows(trained)
    golden = golden_rows(trained, plain, plain)
    assert golden.rows[0] == [values[0] for values in plain.values()]
    asked = {name: np.array(column) for name, column in zip(plain, zip(*golden.rows, strict=True), strict=True)}
    assert golden.outputs["prediction"] == trained.predict(asked)["prediction"].tolist()
    assert rows_of(asked) == 8
