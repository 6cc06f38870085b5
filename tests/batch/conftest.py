"""A store with two models, and tables for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import salver


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with `iris` (numbers without names) and `churn` (named, with a category and numbers that may be missing)."""
    import pandas as pd
    from sklearn.impute import SimpleImputer

    store = tmp_path_factory.mktemp("batch-store")
    X, y = load_iris(return_X_y=True)
    salver.save(LogisticRegression(max_iter=1000).fit(X, y), "iris", sample=X, store=store)
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"age": draw.integers(18, 80, 200).astype(float), "plan": draw.choice(["basic", "pro"], 200)})
    columns = make_column_transformer((SimpleImputer(), ["age"]), (OneHotEncoder(handle_unknown="ignore"), ["plan"]))
    churn = make_pipeline(columns, LogisticRegression()).fit(frame, np.where(frame["age"] > 50, "yes", "no"))
    salver.save(churn, "churn", sample=frame, store=store)
    return store


def irises(rows: int, seed: int = 0) -> pa.Table:
    """A table for `iris`, with a customer's name that is none of the model's business."""
    draw = np.random.default_rng(seed)
    numbers = {f"x{i}": draw.normal(mean, 0.8, rows) for i, mean in enumerate((5.8, 3.0, 3.7, 1.2))}
    return pa.table({"customer": [f"c{i}" for i in range(rows)], **numbers})
