"""Linear models."""

from __future__ import annotations

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from tests.conformance.case import Case


def _iris():
    return load_iris(return_X_y=True)


def _fit(model, data):
    X, y = data
    return model.fit(X, y), X


CASES = [
    Case("LogisticRegression multinomial", lambda: _fit(LogisticRegression(max_iter=1000), _iris())),
]
