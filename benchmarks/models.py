"""The models that are measured, each with one row and the right answer to it. Runs in the peers' environment.

`python -m benchmarks.models FOLDER` trains them: FOLDER/NAME.pkl, and FOLDER/NAME.json with the request and the answer.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from xgboost import XGBClassifier

Trained = tuple[Any, Any, Any]
"""A fitted model, one row as a client sends it, and that row as the model takes it."""


def iris() -> Trained:
    X, y = load_iris(return_X_y=True)
    return LogisticRegression(max_iter=1000).fit(X, y), X[0].tolist(), X[:1]


def on_breast_cancer(model: Any) -> Trained:
    X, y = load_breast_cancer(return_X_y=True)
    return model.fit(X, y), X[0].tolist(), X[:1]


def pipeline() -> Trained:
    """Forty columns as a table in a company has them: ten of text, thirty of numbers with holes."""
    draw = np.random.default_rng(0)
    texts = {f"text{i}": draw.choice(["red", "green", "blue", "grey", "black"], 2000) for i in range(10)}
    numbers = {f"number{i}": draw.normal(i, 1 + i, 2000) for i in range(30)}
    rows = pd.DataFrame({**texts, **numbers})
    label = (rows["number0"] + (rows["text0"] == "red") > 0.5).astype(int)
    rows = rows.mask(draw.random(rows.shape) < np.where(rows.columns.str.startswith("number"), 0.05, 0))
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), list(texts)),
        (make_pipeline(SimpleImputer(), StandardScaler()), list(numbers)),
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(rows, label)
    complete = rows.dropna().iloc[:1]
    return model, complete.iloc[0].to_dict(), complete


MODELS: dict[str, tuple[str, Callable[[], Trained]]] = {
    "iris": ("LogisticRegression, iris", iris),
    "forest": ("RandomForest, 100 trees", lambda: on_breast_cancer(RandomForestClassifier(100, random_state=0))),
    "histogram": (
        "HistGradientBoosting, 100 trees",
        lambda: on_breast_cancer(HistGradientBoostingClassifier(max_iter=100, early_stopping=False)),
    ),
    "xgboost": ("XGBoost, 500 trees", lambda: on_breast_cancer(XGBClassifier(n_estimators=500, n_jobs=1))),
    "pipeline": ("Pipeline, 40 columns, 10 of text", pipeline),
}


def train(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, (title, make) in MODELS.items():
        model, features, row = make()
        joblib.dump(model, folder / f"{name}.pkl")
        answer = model.predict(row)[0].item()
        case = {"name": name, "title": title, "body": json.dumps({"features": features}), "prediction": answer}
        (folder / f"{name}.json").write_text(json.dumps(case))


if __name__ == "__main__":
    train(Path(sys.argv[1]))
