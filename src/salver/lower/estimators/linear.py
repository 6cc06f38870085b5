"""Linear models: a matrix product and a link."""

from __future__ import annotations

from typing import Any

import numpy as np

from salver.errors import LoweringError
from salver.lower.arithmetic import above, affine, apply, column, dense, div, expit, interpolate, mul, pair, same_for_all
from salver.lower.converters import Outputs, predict, predictor
from salver.lower.estimators.heads import labels, logistic, shares, softmax
from salver.lower.graph import Graph, Value
from salver.lower.rows import Landmarks, landmarks_of

_REGRESSORS = [
    "LinearRegression",
    "Ridge",
    "RidgeCV",
    "Lasso",
    "LassoCV",
    "ElasticNet",
    "ElasticNetCV",
    "Lars",
    "LarsCV",
    "LassoLars",
    "LassoLarsCV",
    "LassoLarsIC",
    "OrthogonalMatchingPursuit",
    "OrthogonalMatchingPursuitCV",
    "HuberRegressor",
    "TheilSenRegressor",
    "BayesianRidge",
    "ARDRegression",
    "SGDRegressor",
    "PassiveAggressiveRegressor",
    "LinearSVR",
    "QuantileRegressor",
    "MultiTaskLasso",
    "MultiTaskLassoCV",
    "MultiTaskElasticNet",
    "MultiTaskElasticNetCV",
]


def raw(model: Any, x: Value, g: Graph) -> Value:
    """x @ coef_.T + intercept_: (rows,) for one target or a binary classifier, else (rows, targets)."""
    coef = dense(model.coef_)
    made = affine(g, x, np.atleast_2d(coef).T, model.intercept_)
    binary = len(np.atleast_2d(coef)) == 1 and np.size(getattr(model, "classes_", ())) == 2
    return g.flat(made) if coef.ndim == 1 or binary else made


@predictor("sklearn", *_REGRESSORS, numbers=True)
def regressor(model: Any, x: Value, g: Graph) -> Outputs:
    return {"prediction": raw(model, x, g)}


@predictor("sklearn", "PoissonRegressor", "GammaRegressor", "TweedieRegressor", numbers=True)
def generalized(model: Any, x: Value, g: Graph) -> Outputs:
    value = raw(model, x, g)
    link = getattr(model, "link", "log")
    if link == "auto":
        link = "identity" if model.power <= 0 else "log"
    return {"prediction": value if link == "identity" else apply(g, "Exp", value)}


@predictor("sklearn", "LogisticRegression", "LogisticRegressionCV", numbers=True)
def logistic_regression(model: Any, x: Value, g: Graph) -> Outputs:
    scores = raw(model, x, g)
    # Older versions could be told to fit one binary model a class; those shares of expits are not a softmax.
    how = getattr(model, "multi_class", "auto")
    separate = how in ("ovr", "warn") or model.solver == "liblinear"
    if scores.width:
        probabilities = shares(g, expit(g, scores)) if separate else softmax(g, scores)
    elif how == "multinomial":
        probabilities = logistic(g, mul(g, scores, 2.0))  # softmax of (-score, score)
    else:
        probabilities = logistic(g, scores)
    return {"prediction": labels(g, scores), "probabilities": probabilities, "scores": scores}


@predictor("sklearn", "RidgeClassifier", "RidgeClassifierCV", "Perceptron", numbers=True)
@predictor("sklearn", "PassiveAggressiveClassifier", "LinearSVC", numbers=True)
def linear_classifier(model: Any, x: Value, g: Graph) -> Outputs:
    scores = raw(model, x, g)
    if hasattr(model, "_label_binarizer") and model._label_binarizer.y_type_.startswith("multilabel"):
        return {"prediction": above(g, scores, 0.0), "scores": scores}
    return {"prediction": labels(g, scores), "scores": scores}


@predictor("sklearn", "SGDClassifier", numbers=True)
def stochastic(model: Any, x: Value, g: Graph) -> Outputs:
    scores = raw(model, x, g)
    made = {"prediction": labels(g, scores), "scores": scores}
    if model.loss == "log_loss":
        made["probabilities"] = shares(g, expit(g, scores)) if scores.width else logistic(g, scores)
    elif model.loss == "modified_huber":
        made["probabilities"] = _clipped(g, scores)
    return made


def _clipped(g: Graph, scores: Value) -> Value:
    """(clip(score, -1, 1) + 1) / 2, after Zadrozny and Elkan, as `modified_huber` does."""
    bounded = apply(g, "Min", apply(g, "Max", column(g, scores), -1.0), 1.0)
    halved = div(g, apply(g, "Add", bounded, 1.0), 2.0)
    return shares(g, halved) if scores.width else pair(g, halved)


@predictor("sklearn", "SGDOneClassSVM", numbers=True)
def one_class(model: Any, x: Value, g: Graph) -> Outputs:
    scores = g.flat(affine(g, x, dense(model.coef_).reshape(1, -1).T, -np.ravel(model.offset_)))
    return {"prediction": inliers(g, scores), "scores": scores}


def inliers(g: Graph, scores: Value) -> Value:
    """Index into (-1, 1): an inlier where the score is not negative."""
    return g.cast(apply(g, "GreaterOrEqual", scores, 0.0), np.int64)


@predictor("sklearn", "RANSACRegressor")
def consensus(model: Any, x: Value, g: Graph) -> Outputs:
    return predict(model.estimator_, x, g)


@predictor("sklearn", "IsotonicRegression", numbers=True)
def isotonic(model: Any, x: Value, g: Graph) -> Outputs:
    if model.out_of_bounds != "clip":
        raise LoweringError(f"IsotonicRegression with out_of_bounds={model.out_of_bounds!r}")
    return {"prediction": g.flat(interpolate(g, column(g, x), model.X_thresholds_, model.y_thresholds_))}


@landmarks_of("sklearn", "IsotonicRegression")
def isotonic_landmarks(model: Any, landmarks: Landmarks) -> None:
    landmarks.add(0, model.X_thresholds_)


@predictor("sklearn", "DummyRegressor", numbers=True)
def constant_number(model: Any, x: Value, g: Graph) -> Outputs:
    constants = np.atleast_2d(np.ravel(model.constant_))
    made = same_for_all(g, x, constants)
    return {"prediction": made if model.n_outputs_ > 1 else g.flat(made)}


@predictor("sklearn", "DummyClassifier", numbers=True)
def constant_label(model: Any, x: Value, g: Graph) -> Outputs:
    if model.strategy not in ("prior", "most_frequent", "constant") or model.n_outputs_ > 1:
        raise LoweringError(f"DummyClassifier(strategy={model.strategy!r}) draws its answers")
    prior = np.asarray(model.class_prior_, dtype=np.float64)
    if model.strategy == "constant":
        prior = np.asarray(model.classes_ == model.constant, dtype=np.float64)
    elif model.strategy == "most_frequent":
        prior = (np.arange(len(prior)) == prior.argmax()).astype(np.float64)
    probabilities = same_for_all(g, x, prior)
    label = g.op("ArgMax", probabilities, axis=1, keepdims=0)
    return {"prediction": label, "probabilities": probabilities}
