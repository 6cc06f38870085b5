"""What a model refuses is left out of its proof; one that does not stand by its answers is not published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from salver.artifact.manifest import RuntimeSpec
from salver.errors import ModelFileError
from salver.frameworks.sklearn import adapt
from salver.lower.compile import Lowered, lower
from salver.lower.original import affordable, answered
from salver.lower.rows import ROWS
from salver.types.signature import rows_of
from tests.conformance.tables import numbers, several

_NATIVE = RuntimeSpec("native", "model/model.pkl", "columns")


class Picky(LinearRegression):
    """Refuses rows whose first number is above a limit."""

    limit = 2.0

    def predict(self, X: Any) -> Any:
        if (X[:, 0] > self.limit).any():
            raise ArithmeticError("too much")
        return super().predict(X)


class Sociable(LinearRegression):
    """Answers with how far a row is from the others."""

    def predict(self, X: Any) -> Any:
        return X[:, 0] - X[:, 0].mean()


def lowered(model: Any, folder: Path) -> Lowered:
    return lower(adapt(model), folder, _NATIVE)


def test_what_it_refuses_is_found_and_left_out() -> None:
    trained = adapt(Picky().fit(*numbers()))
    column = trained.signature.columns[0].name
    rows = {name: np.tile([0.0, 1.0, 3.0, 2.0, 5.0], 20) for name in trained.signature.names}
    kept, answers, error = answered(trained, rows)
    assert kept[column].tolist() == [0.0, 1.0, 2.0] * 20
    assert np.array_equal(answers["prediction"], trained.predict(kept)["prediction"])
    assert isinstance(error, ArithmeticError)


def test_a_proof_counts_the_rows_that_were_answered() -> None:
    trained = adapt(Picky().fit(*numbers()))
    kept, answers = affordable(trained)
    assert 100 <= rows_of(kept) < ROWS
    assert rows_of(answers) == rows_of(kept)
    assert kept[trained.signature.columns[0].name].max() <= Picky.limit


def test_a_model_that_refuses_some_rows_is_published(tmp_path: Path) -> None:
    golden = lowered(Picky().fit(*numbers()), tmp_path).golden
    assert len(golden.rows) >= 4


def test_a_model_that_refuses_most_rows_is_refused_by_the_name_of_its_error() -> None:
    class Pickier(Picky):
        def predict(self, X: Any) -> Any:
            if (X[:, 0] != 0).any():
                raise ArithmeticError("too much")
            return np.zeros(len(X))

    with pytest.raises(ModelFileError, match=r"\(ArithmeticError\).* too few are left"):
        affordable(adapt(Pickier().fit(*numbers())))


def test_a_model_that_answers_at_random_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="differ from one call to the next, so nothing can be proven"):
        lowered(DummyClassifier(strategy="stratified").fit(*several()), tmp_path)


@pytest.mark.parametrize("model", [DummyClassifier(strategy="stratified", random_state=0), Sociable()])
def test_a_model_whose_answers_hang_on_the_batch_is_refused(model: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="differ with the rows beside it, so nothing can be proven"):
        lowered(model.fit(*several()), tmp_path)


def test_examples_lie_where_the_model_answers(tmp_path: Path) -> None:
    X, y = numbers()
    model = make_pipeline(FunctionTransformer(np.log), Ridge()).fit(np.exp(X), y)
    rows = np.array(lowered(model, tmp_path).golden.rows, dtype=np.float64)
    assert (rows > 0).all()
