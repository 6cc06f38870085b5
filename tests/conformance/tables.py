"""Small tables that the cases are trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import load_iris, make_classification, make_regression


def binary(rows: int = 160, columns: int = 5) -> tuple[Any, Any]:
    return make_classification(rows, columns, n_informative=3, n_redundant=1, random_state=3)


def several(rows: int = 180, columns: int = 5, classes: int = 4) -> tuple[Any, Any]:
    return make_classification(
        rows, columns, n_informative=4, n_redundant=0, n_classes=classes, n_clusters_per_class=1, random_state=5
    )


def words(rows: int = 160) -> tuple[Any, Any]:
    """Four classes with names."""
    X, y = several(rows)
    return X, np.array(["ash", "beech", "cedar", "oak"])[y]


def two_words() -> tuple[Any, Any]:
    X, y = binary()
    return X, np.array(["no", "yes"])[y]


def numbers(rows: int = 160, columns: int = 5, targets: int = 1) -> tuple[Any, Any]:
    return make_regression(rows, columns, n_informative=4, n_targets=targets, noise=5.0, random_state=7)


def counts() -> tuple[Any, Any]:
    """Features and a positive target."""
    X, y = numbers()
    return X, np.exp(y / np.abs(y).max()) + 0.1


def two_labels() -> tuple[Any, Any]:
    """A class of three and a class of two a row."""
    X, y = several(classes=3)
    return X, np.stack([y, (X[:, 0] > 0).astype(int)], axis=1)


def switches() -> tuple[Any, Any]:
    """Three yes-or-no labels a row."""
    X, y = several()
    return X, np.stack([y > 0, X[:, 0] > 0, X[:, 1] + X[:, 2] > 0.5], axis=1).astype(int)


def iris() -> tuple[Any, Any]:
    return load_iris(return_X_y=True)


def whole(rows: int = 200, columns: int = 4, levels: int = 4) -> tuple[Any, Any]:
    """Small whole numbers, for counts and categories."""
    rng = np.random.default_rng(11)
    X = rng.integers(0, levels, (rows, columns)).astype(float)
    return X, (X[:, 0] + X[:, 1] > levels - 1).astype(int) + (X[:, 2] == 0)


def holes(X: Any, share: float = 0.15) -> Any:
    """The same table with missing values."""
    made = X.copy()
    made[np.random.default_rng(13).random(X.shape) < share] = np.nan
    return made


def customers(rows: int = 240) -> tuple[Any, Any]:
    """A DataFrame with numbers, whole numbers, text categories and missing values, and a yes-or-no answer."""
    import pandas as pd

    rng = np.random.default_rng(17)
    city = rng.choice(np.array(["Bonn", "Köln", "Trier", "Ulm"], dtype=object), rows, p=[0.5, 0.3, 0.15, 0.05])
    plan = rng.choice(np.array(["basic", "gold"], dtype=object), rows)
    age, income = rng.uniform(18, 90, rows), rng.lognormal(8, 1, rows)
    answer = (age + 20 * (plan == "gold") + 10 * (city == "Bonn") + rng.normal(0, 10, rows) > 65).astype(int)
    frame = pd.DataFrame(
        {
            "age": np.where(rng.random(rows) < 0.1, np.nan, age),
            "income": income,
            "visits": rng.integers(0, 6, rows),
            "city": pd.Series(np.where(rng.random(rows) < 0.1, np.nan, city), dtype=object),
            "plan": pd.Series(plan, dtype=object),
        }
    )
    return frame, np.array(["leaves", "stays"])[answer]


def fit(model: Any, data: tuple[Any, Any]) -> tuple[Any, Any]:
    """The model trained on the table, with the table's rows."""
    X, y = data
    return model.fit(X, y), X
