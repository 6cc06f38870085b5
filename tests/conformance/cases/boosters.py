"""XGBoost, LightGBM and CatBoost, by their own interfaces and by scikit-learn's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xgboost
from xgboost import XGBClassifier, XGBRanker, XGBRegressor, XGBRFClassifier, XGBRFRegressor

from tests.conformance.case import Case


def _table(rows: int = 300):
    rng = np.random.default_rng(0)
    X = rng.normal(0, [0.01, 1, 1, 100, 3], (rows, 5))
    X[:, 2] = np.rint(2 * X[:, 2])
    return X, 50 * X[:, 0] + X[:, 1] * X[:, 2] + X[:, 3] / 50 + rng.normal(0, 0.3, rows)


def _holes():
    X, y = _table()
    X[np.random.default_rng(1).random(X.shape) < 0.15] = np.nan
    return X, y


def _positive():
    X, y = _table()
    return X, np.exp(y / y.std() / 2)


def _classes(k: int, table=_table):
    X, y = table()
    return X, np.searchsorted(np.quantile(y, np.linspace(0, 1, k + 1)[1:-1]), y)


def _several():
    X, y = _table()
    return X, np.stack([y, X[:, 1] - y, np.abs(y)], axis=1)


def _frame():
    """Two categorical columns with holes; text categories not in sorted order, others numbers."""
    rng = np.random.default_rng(2)
    X, y = _table()
    colour = rng.integers(0, 9, len(X))
    size = rng.integers(0, 40, len(X))
    names = ["teal", "red", "blue", "grey", "pink", "lime", "aqua", "gold", "plum", "never"]
    holes = rng.random(len(X)) < 0.1
    frame = pd.DataFrame(
        {
            "amount": X[:, 1],
            "colour": pd.Categorical.from_codes(np.where(holes, -1, colour), names),
            "size": pd.Categorical.from_codes(size, [(i * 37) % 71 for i in range(41)]),
            "count": X[:, 2],
        }
    )
    return frame, y + 2 * (colour % 3) + (size % 5)


def _fit(model, data, **options):
    X, y = data
    return model.fit(X, y, **options), X


def _stopped(model, data, **options):
    X, y = data
    half = len(X) // 2
    return model.fit(X[:half], y[:half], eval_set=[(X[half:], y[half:])], **options), X


def _weights():
    return np.random.default_rng(4).uniform(0, 3, 300)


_FEW = {"n_estimators": 12, "max_depth": 4, "n_jobs": 1}


def _xgb(params, data, rounds: int = 12, **options):
    X, y = data
    matrix = xgboost.DMatrix(X, y, enable_categorical=True, **options)
    return xgboost.train({"nthread": 1, "max_depth": 4, **params}, matrix, rounds), X


def _ranked():
    X, y = _classes(4)
    return XGBRanker(**_FEW).fit(X, y, qid=np.repeat(np.arange(30), 10)), X


def _binary_cases():
    yield Case("XGBClassifier binary", lambda: _fit(XGBClassifier(**_FEW), _classes(2)))
    yield Case("XGBClassifier multiclass", lambda: _fit(XGBClassifier(**_FEW), _classes(4)))
    yield Case("XGBClassifier missing", lambda: _fit(XGBClassifier(**_FEW), _classes(3, _holes)))
    yield Case("XGBClassifier missing as a number", lambda: _fit(XGBClassifier(missing=0, **_FEW), _classes(2)))
    yield Case("XGBClassifier categories", lambda: _fit(XGBClassifier(enable_categorical=True, **_FEW), _classes(2, _frame)))
    yield Case(
        "XGBClassifier categories one by one",
        lambda: _fit(XGBClassifier(enable_categorical=True, max_cat_to_onehot=50, **_FEW), _classes(3, _frame)),
    )
    yield Case("XGBClassifier multilabel", lambda: _fit(XGBClassifier(**_FEW), (_table()[0], (_several()[1] > 0).astype(int))))
    yield Case(
        "XGBClassifier early stopping",
        lambda: _stopped(
            XGBClassifier(**{**_FEW, "n_estimators": 30}, early_stopping_rounds=2, learning_rate=1), _classes(2), verbose=False
        ),
    )
    yield Case(
        "XGBClassifier parallel trees", lambda: _fit(XGBClassifier(num_parallel_tree=3, subsample=0.5, **_FEW), _classes(3))
    )
    yield Case("XGBClassifier base score", lambda: _fit(XGBClassifier(base_score=0.9, **_FEW), _classes(2)))
    yield Case("XGBClassifier weighted", lambda: _fit(XGBClassifier(**_FEW), _classes(2), sample_weight=_weights()))
    yield Case("XGBClassifier dart", lambda: _fit(XGBClassifier(booster="dart", rate_drop=0.3, **_FEW), _classes(3)))
    yield Case("XGBClassifier one tree", lambda: _fit(XGBClassifier(**{**_FEW, "n_estimators": 1}), _classes(2)))
    yield Case("XGBClassifier stumps without a split", lambda: _fit(XGBClassifier(gamma=1e9, **_FEW), _classes(3)))
    yield Case("XGBRFClassifier", lambda: _fit(XGBRFClassifier(**_FEW), _classes(2)))
    yield Case(
        "XGBClassifier linear",
        lambda: _fit(XGBClassifier(booster="gblinear", n_estimators=3), _classes(2)),
        lowered=False,
        note="the linear booster",
    )


def _number_cases():
    for objective in ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror"):
        yield Case(
            f"XGBRegressor {objective}", lambda objective=objective: _fit(XGBRegressor(objective=objective, **_FEW), _table())
        )
    for objective in ("count:poisson", "reg:gamma", "reg:tweedie", "reg:squaredlogerror"):
        yield Case(
            f"XGBRegressor {objective}",
            lambda objective=objective: _fit(XGBRegressor(objective=objective, **_FEW), _positive()),
        )
    yield Case(
        "XGBRegressor quantiles",
        lambda: _fit(XGBRegressor(objective="reg:quantileerror", quantile_alpha=[0.1, 0.9], **_FEW), _table()),
    )
    yield Case("XGBRegressor categories", lambda: _fit(XGBRegressor(enable_categorical=True, **_FEW), _frame()))
    yield Case("XGBRegressor missing", lambda: _fit(XGBRegressor(**_FEW), _holes()))
    yield Case("XGBRegressor multi-output", lambda: _fit(XGBRegressor(**_FEW), _several()))
    yield Case("XGBRegressor vector leaves", lambda: _fit(XGBRegressor(multi_strategy="multi_output_tree", **_FEW), _several()))
    yield Case("XGBRegressor dart", lambda: _fit(XGBRegressor(booster="dart", rate_drop=0.3, **_FEW), _table()))
    yield Case("XGBRegressor constant", lambda: _fit(XGBRegressor(**_FEW), (_table()[0], np.full(300, 4.5))))
    yield Case("XGBRFRegressor", lambda: _fit(XGBRFRegressor(**_FEW), _table()))
    yield Case("XGBRanker", _ranked)


def _xgb_booster_cases():
    yield Case("xgboost binary", lambda: _xgb({"objective": "binary:logistic"}, _classes(2)))
    yield Case("xgboost raw", lambda: _xgb({"objective": "binary:logitraw"}, _classes(2)))
    yield Case("xgboost hinge", lambda: _xgb({"objective": "binary:hinge"}, _classes(2)))
    yield Case("xgboost softprob", lambda: _xgb({"objective": "multi:softprob", "num_class": 3}, _classes(3, _holes)))
    yield Case("xgboost softmax", lambda: _xgb({"objective": "multi:softmax", "num_class": 3}, _classes(3)))
    yield Case("xgboost regression", lambda: _xgb({"objective": "reg:squarederror", "base_score": 3}, _table()))
    yield Case("xgboost cox", lambda: _xgb({"objective": "survival:cox"}, _positive()))
    yield Case("xgboost categories", lambda: _xgb({"objective": "reg:squarederror"}, _frame()))
    yield Case("xgboost names", lambda: _xgb({}, _table(), feature_names=["a", "b", "c", "d", "e"]))


CASES = [*_binary_cases(), *_number_cases(), *_xgb_booster_cases()]
