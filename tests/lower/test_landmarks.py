"""The rows of a proof come from the model, through the steps before the part that knows them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from salver.lower.rows import Landmarks, find_landmarks
from tests.conformance.tables import numbers

_SCALERS = [StandardScaler(), MinMaxScaler((-1, 2)), MaxAbsScaler(), RobustScaler()]


def found(model: Any, width: int = 5) -> Landmarks:
    made = Landmarks(width)
    find_landmarks(model, made)
    return made


def thresholds(tree: Any) -> list[tuple[int, float]]:
    return [(int(i), float(t)) for i, t in zip(tree.tree_.feature, tree.tree_.threshold, strict=True) if i >= 0]


@pytest.mark.parametrize("scaler", _SCALERS, ids=lambda scaler: type(scaler).__name__)
def test_thresholds_are_pulled_back_through_a_scaler(scaler: Any) -> None:
    model = make_pipeline(scaler, DecisionTreeRegressor(max_depth=4)).fit(*numbers())
    made = found(model)
    for i, threshold in thresholds(model[-1]):
        asked = np.zeros((len(made.values[i]), 5))
        asked[:, i] = made.values[i]
        assert np.abs(model[0].transform(asked)[:, i] - threshold).min() < 1e-9
    assert made.stepwise


@pytest.mark.parametrize("scaler", _SCALERS, ids=lambda scaler: type(scaler).__name__)
def test_remembered_rows_are_pulled_back_whole(scaler: Any) -> None:
    model = make_pipeline(scaler, KMeans(3, n_init=1, random_state=0)).fit(numbers()[0])
    rows = np.concatenate(found(model).rows)
    assert np.allclose(model[0].transform(rows), model[-1].cluster_centers_)


def test_thresholds_are_pulled_back_through_several_steps_and_by_columns() -> None:
    steps = ColumnTransformer([("a", make_pipeline(SimpleImputer(), StandardScaler()), [3, 1])], remainder="passthrough")
    model = make_pipeline(steps, MinMaxScaler(), DecisionTreeRegressor(max_depth=3)).fit(*numbers())
    made, places = found(model), [3, 1, 0, 2, 4]
    for i, threshold in thresholds(model[-1]):
        asked = np.zeros((len(made.values[places[i]]), 5))
        asked[:, places[i]] = made.values[places[i]]
        assert np.abs(model[:-1].transform(asked)[:, i] - threshold).min() < 1e-9


def test_what_can_not_be_pulled_back_is_left_out() -> None:
    X, y = numbers()
    made = found(make_pipeline(FunctionTransformer(np.exp), DecisionTreeRegressor(max_depth=2)).fit(X, y))
    assert not any(made.values)
    assert made.high == dict.fromkeys(range(5), 300.0)


def test_a_limit_only_gets_tighter() -> None:
    made = Landmarks(2)
    made.limit(0, 1.0, 9.0)
    made.limit(0, 0.0, 5.0)
    made.limit(1, None, 3.0)
    assert (made.low, made.high) == ({0: 1.0}, {0: 5.0, 1: 3.0})


def test_a_process_that_has_lowered_nothing_yet_finds_them_too() -> None:
    code = """
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler
from salver.lower.rows import Landmarks, find_landmarks
made = Landmarks(1)
find_landmarks(StandardScaler().fit([[0.0], [2.0]]), made)
assert 1.0 in made.values[0]
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_model_that_nobody_knows_has_none() -> None:
    assert not any(found(Ridge().fit(*numbers())).values)
