"""scikit-learn's trees, forests, gradient boosting and isolation forest."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

from tests.conformance.case import Case

_SEED = {"random_state": 0}


def _table(rows: int = 300, columns: int = 6):
    """Numbers of many sizes with ties: some columns are whole, some not even float32."""
    rng = np.random.default_rng(0)
    X = rng.normal(0, [0.01, 1, 1, 100, 3, 1e5][:columns], (rows, columns))
    X[:, 2] = np.rint(2 * X[:, 2])
    score = 50 * X[:, 0] + X[:, 1] * X[:, 2] + X[:, 3] / 50 + rng.normal(0, 0.3, rows)
    return X, score


def _holes(X):
    made = X.copy()
    made[np.random.default_rng(1).random(X.shape) < 0.15] = np.nan
    return made


def _classes(k: int, labels=None):
    X, score = _table()
    place = np.searchsorted(np.quantile(score, np.linspace(0, 1, k + 1)[1:-1]), score)
    return X, place if labels is None else np.array(labels)[place]


def _positive():
    X, score = _table()
    return X, np.exp(score / score.std() / 2)


def _several():
    X, score = _table()
    return X, np.stack([score, X[:, 1] - score, np.abs(score)], axis=1)


def _labels():
    X, score = _table()
    return X, np.stack([score > 0, X[:, 1] > 0.3, np.abs(score) > 1], axis=1).astype(int)


def _two_tasks():
    X, score = _table()
    return X, np.stack([np.searchsorted([-1, 0, 1], score), np.where(X[:, 1] > 0, 7, 9)], axis=1)


def _frame(missing: bool = True):
    """A DataFrame with two categorical columns; the categories are not in sorted order, and one never occurs."""
    rng = np.random.default_rng(2)
    X, score = _table()
    colour = rng.integers(0, 9, len(X))
    size = rng.integers(0, 70, len(X))
    frame = pd.DataFrame(
        {
            "amount": X[:, 1],
            "colour": pd.Categorical.from_codes(
                np.where(rng.random(len(X)) < 0.1, -1, colour) if missing else colour,
                ["teal", "red", "blue", "grey", "pink", "lime", "aqua", "gold", "none", "rare"],
            ),
            "size": pd.Categorical.from_codes(size, [f"s{(i * 37) % 71}" for i in range(71)]),
            "count": X[:, 2],
        }
    )
    return frame, score + 2 * (colour % 3) + (size % 5)


def _coded():
    """Categories as numbers in a plain matrix."""
    X, score = _table()
    codes = np.random.default_rng(3).integers(0, 20, len(X))
    return np.column_stack([X[:, :2], codes, X[:, 3] > 0]), score + 3 * (codes % 3)


def _fit(model, data, **options):
    X, y = data
    return model.fit(X, y, **options), X


def _constant():
    return _table()[0], np.full(300, 4.5)


def _weights():
    return np.random.default_rng(4).uniform(0, 3, 300)


def _both(data, k: int = 2):
    X, score = data
    return X, np.searchsorted(np.quantile(score, np.linspace(0, 1, k + 1)[1:-1]), score)


_CLASSIFIERS = {
    "DecisionTreeClassifier": lambda **o: DecisionTreeClassifier(**_SEED, **o),
    "ExtraTreeClassifier": lambda **o: ExtraTreeClassifier(**_SEED, **o),
    "RandomForestClassifier": lambda **o: RandomForestClassifier(15, **_SEED, **o),
    "ExtraTreesClassifier": lambda **o: ExtraTreesClassifier(15, **_SEED, **o),
}
_REGRESSORS = {
    "DecisionTreeRegressor": lambda **o: DecisionTreeRegressor(**_SEED, **o),
    "ExtraTreeRegressor": lambda **o: ExtraTreeRegressor(**_SEED, **o),
    "RandomForestRegressor": lambda **o: RandomForestRegressor(15, **_SEED, **o),
    "ExtraTreesRegressor": lambda **o: ExtraTreesRegressor(15, **_SEED, **o),
}


def _forest_cases():
    for name, make in _CLASSIFIERS.items():
        yield Case(f"{name} binary", lambda make=make: _fit(make(), _classes(2, ["no", "yes"])))
        yield Case(f"{name} shallow", lambda make=make: _fit(make(max_depth=3), _classes(2)))
        yield Case(f"{name} multiclass", lambda make=make: _fit(make(max_depth=5), _classes(5)))
        yield Case(f"{name} weighted", lambda make=make: _fit(make(max_depth=4), _classes(3), sample_weight=_weights()))
        yield Case(f"{name} multilabel", lambda make=make: _fit(make(max_depth=5), _labels()))
        yield Case(f"{name} multi-output", lambda make=make: _fit(make(max_depth=5), _two_tasks()))
        yield Case(f"{name} missing", lambda make=make: _fit(make(max_depth=5), (_holes(_classes(3)[0]), _classes(3)[1])))
        yield Case(f"{name} one class", lambda make=make: _fit(make(), (_table()[0], np.full(300, 3))))
    for name, make in _REGRESSORS.items():
        yield Case(f"{name}", lambda make=make: _fit(make(), _table()))
        yield Case(f"{name} missing", lambda make=make: _fit(make(max_depth=5), (_holes(_table()[0]), _table()[1])))
        yield Case(f"{name} multi-output", lambda make=make: _fit(make(max_depth=5), _several()))
        yield Case(f"{name} constant", lambda make=make: _fit(make(), _constant()))


def _boosting_cases():
    for loss in ("squared_error", "absolute_error", "huber", "quantile"):
        yield Case(
            f"GradientBoostingRegressor {loss}",
            lambda loss=loss: _fit(GradientBoostingRegressor(loss=loss, n_estimators=20, **_SEED), _table()),
        )
    for loss in ("log_loss", "exponential"):
        yield Case(
            f"GradientBoostingClassifier {loss}",
            lambda loss=loss: _fit(GradientBoostingClassifier(loss=loss, n_estimators=20, **_SEED), _classes(2)),
        )
    few = {"n_estimators": 8, **_SEED}
    yield Case("GradientBoostingClassifier multiclass", lambda: _fit(GradientBoostingClassifier(**few), _classes(4)))
    yield Case("GradientBoostingClassifier zero", lambda: _fit(GradientBoostingClassifier(init="zero", **few), _classes(3)))
    yield Case("GradientBoostingRegressor zero", lambda: _fit(GradientBoostingRegressor(init="zero", **few), _table()))
    yield Case(
        "GradientBoostingClassifier dummy",
        lambda: _fit(GradientBoostingClassifier(init=DummyClassifier(strategy="uniform"), **few), _classes(2)),
    )
    yield Case(
        "GradientBoostingRegressor dummy",
        lambda: _fit(GradientBoostingRegressor(init=DummyRegressor(strategy="median"), **few), _table()),
    )
    yield Case(
        "GradientBoostingRegressor init",
        lambda: _fit(GradientBoostingRegressor(init=LinearRegression(), **few), _table()),
        lowered=False,
        note="boosting that starts from another estimator",
    )
    yield Case(
        "GradientBoostingClassifier init",
        lambda: _fit(
            GradientBoostingClassifier(init=LogisticRegression(max_iter=5000), **few),
            (StandardScaler().fit_transform(_classes(2)[0]), _classes(2)[1]),
        ),
        lowered=False,
        note="boosting that starts from another estimator",
    )
    yield Case("GradientBoostingRegressor constant", lambda: _fit(GradientBoostingRegressor(**few), _constant()))
    yield Case(
        "GradientBoostingClassifier early stopping",
        lambda: _fit(GradientBoostingClassifier(n_iter_no_change=2, subsample=0.7, **few), _classes(2)),
    )


def _hist(kind, **options):
    return kind(**({"max_iter": 15, "min_samples_leaf": 5, **_SEED} | options))


def _hist_cases():
    R, C = HistGradientBoostingRegressor, HistGradientBoostingClassifier
    for loss in ("squared_error", "absolute_error", "poisson", "gamma"):
        yield Case(f"HistGradientBoostingRegressor {loss}", lambda loss=loss: _fit(_hist(R, loss=loss), _positive()))
    yield Case("HistGradientBoostingRegressor quantile", lambda: _fit(_hist(R, loss="quantile", quantile=0.8), _table()))
    yield Case("HistGradientBoostingRegressor constant", lambda: _fit(_hist(R), _constant()))
    yield Case("HistGradientBoostingRegressor missing", lambda: _fit(_hist(R), (_holes(_table()[0]), _table()[1])))
    yield Case("HistGradientBoostingRegressor categories", lambda: _fit(_hist(R), _frame()))
    yield Case("HistGradientBoostingRegressor complete categories", lambda: _fit(_hist(R), _frame(missing=False)))
    yield Case("HistGradientBoostingRegressor codes", lambda: _fit(_hist(R, categorical_features=[2, 3]), _coded()))
    yield Case(
        "HistGradientBoostingRegressor mask",
        lambda: _fit(_hist(R, categorical_features=[False, False, True, False]), _coded()),
    )
    yield Case("HistGradientBoostingClassifier binary", lambda: _fit(_hist(C), _classes(2, ["no", "yes"])))
    yield Case("HistGradientBoostingClassifier multiclass", lambda: _fit(_hist(C, max_iter=6), _classes(4)))
    yield Case("HistGradientBoostingClassifier missing", lambda: _fit(_hist(C), (_holes(_table()[0]), _classes(2)[1])))
    yield Case("HistGradientBoostingClassifier categories", lambda: _fit(_hist(C), _both(_frame())))
    yield Case(
        "HistGradientBoostingClassifier multiclass codes",
        lambda: _fit(_hist(C, max_iter=5, categorical_features=[2]), _both(_coded(), 3)),
    )
    yield Case(
        "HistGradientBoostingClassifier early stopping",
        lambda: _fit(_hist(C, early_stopping=True, max_iter=30, n_iter_no_change=3), _classes(2)),
    )
    yield Case("HistGradientBoostingClassifier weighted", lambda: _fit(_hist(C), _classes(2), sample_weight=_weights()))
    yield Case(
        "HistGradientBoostingClassifier monotonic",
        lambda: _fit(_hist(C, monotonic_cst=[1, 1, 0, 0, 0, -1]), _classes(2)),
    )
    yield Case(
        "HistGradientBoostingClassifier in a Pipeline",
        lambda: _fit(make_pipeline(StandardScaler(), _hist(C)), _classes(2)),
        lowered=True,
    )


def _isolation_cases():
    X = _table()[0]
    yield Case("IsolationForest", lambda: (IsolationForest(n_estimators=20, **_SEED).fit(X), X))
    yield Case(
        "IsolationForest contamination",
        lambda: (IsolationForest(n_estimators=20, contamination=0.2, **_SEED).fit(X), X),
    )
    yield Case("IsolationForest some columns", lambda: (IsolationForest(n_estimators=20, max_features=0.5, **_SEED).fit(X), X))
    yield Case(
        "IsolationForest small samples",
        lambda: (IsolationForest(n_estimators=20, max_samples=16, contamination=0.1, **_SEED).fit(X), X),
    )


CASES = [*_forest_cases(), *_boosting_cases(), *_hist_cases(), *_isolation_cases()]
