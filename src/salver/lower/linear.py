"""A linear model, or scalers and then a linear model, as the arrays of the `linear` runtime: no graph at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.artifact.manifest import RuntimeSpec
from salver.errors import LoweringError
from salver.frameworks.base import Trained

_REGRESSORS = frozenset(
    (
        "LinearRegression",
        "Ridge",
        "RidgeCV",
        "Lasso",
        "LassoCV",
        "LassoLars",
        "LassoLarsCV",
        "LassoLarsIC",
        "ElasticNet",
        "ElasticNetCV",
        "MultiTaskLasso",
        "MultiTaskLassoCV",
        "MultiTaskElasticNet",
        "MultiTaskElasticNetCV",
        "Lars",
        "LarsCV",
        "OrthogonalMatchingPursuit",
        "OrthogonalMatchingPursuitCV",
        "BayesianRidge",
        "ARDRegression",
        "HuberRegressor",
        "TheilSenRegressor",
        "LinearSVR",
        "SGDRegressor",
        "PassiveAggressiveRegressor",
        "QuantileRegressor",
    )
)
_SCORERS = frozenset(("RidgeClassifier", "RidgeClassifierCV", "LinearSVC", "Perceptron", "PassiveAggressiveClassifier"))
_Affine = tuple[NDArray[np.float64], NDArray[np.float64]]  # x → x · scale + shift


def linear(trained: Trained, folder: Path) -> RuntimeSpec:
    """Write `linear.npz`. Raises LoweringError without a reason for what is not linear: that goes without saying."""
    steps = [step for _, step in getattr(trained.model, "steps", [("", trained.model)])]
    if any(not column.is_number or column.shape for column in trained.signature.columns):
        raise LoweringError("")
    link = _link(steps[-1])
    coef = np.atleast_2d(np.asarray(steps[-1].coef_, dtype=np.float64)).T
    intercept = np.broadcast_to(np.asarray(steps[-1].intercept_, dtype=np.float64), coef.shape[1:])
    for scaler in reversed(steps[:-1]):
        scale, shift = _affine(scaler, len(coef))
        intercept = intercept + shift @ coef
        coef = coef * scale[:, None]
    with (folder / "linear.npz").open("wb") as file:
        np.savez(file, coef=np.ascontiguousarray(coef), intercept=np.ascontiguousarray(intercept), link=np.array(link))
    return RuntimeSpec("linear", "linear.npz", "matrix")


def _link(model: Any) -> str:
    name = _sklearn_name(model)
    if name in _REGRESSORS:
        return "identity"
    if name in _SCORERS:
        return "scores"
    if name in ("LogisticRegression", "LogisticRegressionCV"):
        return _logistic_link(model)
    if name == "SGDClassifier":
        if model.loss == "log_loss":
            return "sigmoid" if len(model.classes_) == 2 else "ovr"
        if model.loss != "modified_huber":
            return "scores"
    raise LoweringError("")


def _logistic_link(model: Any) -> str:
    multi_class = getattr(model, "multi_class", "auto")  # gone since scikit-learn 1.8
    if len(model.classes_) == 2:
        if multi_class == "multinomial":
            raise LoweringError("binary multinomial logistic regression has two scores")
        return "sigmoid"
    return "ovr" if multi_class == "ovr" or model.solver == "liblinear" else "softmax"


def _affine(scaler: Any, width: int) -> _Affine:
    name, ones, zeros = _sklearn_name(scaler), np.ones(width), np.zeros(width)
    if name == "StandardScaler":
        scale = ones if scaler.scale_ is None else 1 / scaler.scale_
        return scale, zeros if scaler.mean_ is None or not scaler.with_mean else -scaler.mean_ * scale
    if name == "MinMaxScaler" and not scaler.clip:
        return scaler.scale_, scaler.min_
    if name == "MaxAbsScaler":
        return 1 / scaler.scale_, zeros
    if name == "RobustScaler":
        scale = 1 / scaler.scale_ if scaler.with_scaling else ones
        return scale, -scaler.center_ * scale if scaler.with_centering else zeros
    raise LoweringError("")


def _sklearn_name(model: Any) -> str:
    return type(model).__name__ if type(model).__module__.startswith("sklearn.") else ""
