"""Estimators that look for the nearest of the rows they remember."""

from __future__ import annotations

from typing import Any

import numpy as np

from salver.errors import LoweringError
from salver.lower.arithmetic import add, apply, dense, div, nearest, number, reduce, squared_distances, sub, where
from salver.lower.converters import Outputs, predictor
from salver.lower.estimators.heads import normal_likelihoods
from salver.lower.graph import Graph, Value
from salver.lower.rows import Landmarks, landmarks_of

_SPARE = 8  # candidates looked at exactly beyond the k that are wanted
_CHECKED = 500  # training rows asked for ties
_WIDEST = 64  # columns up to which distances are added up one by one


@predictor("sklearn", "KNeighborsClassifier", numbers=True)
def neighbors_classifier(model: Any, x: Value, g: Graph) -> Outputs:
    index, distance = _neighbors(model, x, g)
    many = type(model.classes_) is list
    tables: list[Any] = model.classes_ if many else [model.classes_]
    targets = np.asarray(model._y).reshape(len(model._y), -1)
    shares = [_shares(model, targets[:, k], len(known), index, distance, g) for k, known in enumerate(tables)]
    labels = [g.op("ArgMax", share, axis=1, keepdims=1, width=1) for share in shares]
    if many:
        return {"prediction": g.concat(labels)}
    return {"prediction": g.flat(labels[0]), "probabilities": shares[0]}


@predictor("sklearn", "KNeighborsRegressor", numbers=True)
def neighbors_regressor(model: Any, x: Value, g: Graph) -> Outputs:
    index, distance = _neighbors(model, x, g)
    targets = np.asarray(model._y, dtype=np.float64)
    mean = _average(model, targets.reshape(len(targets), -1), index, distance, g)
    return {"prediction": g.flat(mean) if targets.ndim == 1 else mean}


def _shares(model: Any, target: Any, classes: int, index: Value, distance: Value, g: Graph) -> Value:
    return _average(model, np.eye(classes)[target.astype(int)], index, distance, g)


def _average(model: Any, table: Any, index: Value, distance: Value, g: Graph) -> Value:
    """The mean of the neighbours' rows of `table`, (rows, columns of the table), weighted as the model says."""
    rows = g.op("Gather", g.const(np.asarray(table, dtype=np.float64)), index)
    axis = g.const([1], np.int64)
    if model.weights == "uniform":
        return g.op("ReduceMean", rows, axis, keepdims=0, width=table.shape[1])
    weights = _inverse(distance, g)
    deep = g.op("Unsqueeze", weights, g.const([2], np.int64))
    sums = g.op("ReduceSum", g.op("Mul", rows, deep), axis, keepdims=0, width=table.shape[1])
    return div(g, sums, reduce(g, "ReduceSum", weights))


def _inverse(distance: Value, g: Graph) -> Value:
    """1 / distance; where a row meets one it remembers, only those that are met count."""
    met = apply(g, "Equal", distance, 0.0)
    any_met = apply(g, "Greater", reduce(g, "ReduceMax", number(g, met)), 0.0)
    return where(g, any_met, number(g, met), div(g, 1.0, where(g, met, 1.0, distance)))


def _neighbors(model: Any, x: Value, g: Graph) -> tuple[Value, Value]:
    """Indices and distances of the k nearest training rows, (rows, k) each, nearest first."""
    if model.weights not in ("uniform", "distance"):
        raise LoweringError("neighbours are weighted by code of its own")
    points = dense(model._fit_X)
    metric, p = _metric(model)
    _refuse_ties(model, points)
    k = int(model.n_neighbors)
    if metric != "minkowski" or p != 2:
        if x.width > _WIDEST:
            raise LoweringError(f"{metric} distances over more than {_WIDEST} columns")
        return _least(g, _added_up(g, x, points, metric, p), k)
    near, _ = _least(g, squared_distances(g, x, points), min(len(points), k + _SPARE))
    # The expanded formula finds them; how far they are, and in which order, is told by the differences themselves.
    found = g.op("Gather", g.const(points), near)
    off = g.op("Sub", found, g.op("Unsqueeze", x, g.const([1], np.int64)))
    exact = g.op("ReduceSumSquare", off, g.const([2], np.int64), keepdims=0, width=near.width)
    place, squares = _least(g, exact, k)
    index = g.op("GatherElements", near, place, axis=1, width=k)
    return index, apply(g, "Sqrt", squares)


def _least(g: Graph, distances: Value, k: int) -> tuple[Value, Value]:
    values, index = g.ops("TopK", distances, g.const([k], np.int64), outputs=2, width=k, axis=1, largest=0, sorted=1)
    return index, values


def _added_up(g: Graph, x: Value, points: Any, metric: str, p: float) -> Value:
    """Distances to all points, column by column, as scikit-learn's own loops add them."""
    made: Value | None = None
    for i in range(x.width):
        size = apply(g, "Abs", sub(g, g.columns(x, [i]), points[:, i]))
        if metric == "chebyshev":
            made = size if made is None else apply(g, "Max", made, size)
            continue
        part = size if p == 1 else apply(g, "Pow", size, p)
        made = part if made is None else add(g, made, part)
    assert made is not None
    return made if metric == "chebyshev" or p == 1 else apply(g, "Pow", made, 1.0 / p)


def _metric(model: Any) -> tuple[str, float]:
    parameters: dict[str, Any] = model.effective_metric_params_ or {}
    name, p = model.effective_metric_, float(parameters.get("p", model.p))
    known = {"euclidean": ("minkowski", 2.0), "manhattan": ("minkowski", 1.0), "cityblock": ("minkowski", 1.0)}
    known |= {"l1": ("minkowski", 1.0), "l2": ("minkowski", 2.0), "minkowski": ("minkowski", p)}
    known |= {"chebyshev": ("chebyshev", p)}
    if not isinstance(name, str) or name not in known or parameters.get("w") is not None:
        raise LoweringError(f"distances by metric {name!r}")
    return known[name]


def _refuse_ties(model: Any, points: Any) -> None:
    """Which of several equally distant rows is a neighbour, the order of the original's search tree decides."""
    k = int(model.n_neighbors)
    if k >= len(points):
        return
    asked = points[:: max(1, len(points) // _CHECKED)]
    distances, index = model.kneighbors(asked, n_neighbors=min(len(points), k + 1))
    tied = distances[:, k] - distances[:, k - 1] <= 1e-12 * np.maximum(1.0, distances[:, k])
    targets = np.asarray(model._y).reshape(len(points), -1)
    differ = (targets[index[:, k]] != targets[index[:, k - 1]]).any(axis=1)
    if (tied & differ).any():
        raise LoweringError("training rows are equally far from each other, and its search decides which are neighbours")


@landmarks_of("sklearn", "KNeighborsClassifier", "KNeighborsRegressor")
def neighbors_landmarks(model: Any, landmarks: Landmarks) -> None:
    points = dense(model._fit_X)
    landmarks.add_rows(points)
    for i in range(points.shape[1]):
        landmarks.add(i, points[:, i])


@predictor("sklearn", "NearestCentroid", numbers=True)
def nearest_centroid(model: Any, x: Value, g: Graph) -> Outputs:
    centroids = dense(model.centroids_)
    priors = np.asarray(getattr(model, "class_prior_", np.full(len(centroids), 1.0 / len(centroids))))
    uniform = bool(np.isclose(priors, 1.0 / len(centroids)).all())
    if model.metric != "euclidean":
        if not uniform:
            raise LoweringError(f"NearestCentroid with priors and metric {model.metric!r}")
        distances = _added_up(g, x, centroids, "minkowski", 1.0)
        return {"prediction": g.op("ArgMin", distances, axis=1, keepdims=0)}
    made = {"prediction": nearest(g, x, centroids)}
    if not hasattr(model, "decision_function"):
        return made
    spread = np.where(model.within_class_std_dev_ != 0, model.within_class_std_dev_, 1.0)
    squares = squared_distances(g, div(g, x, spread), centroids / spread)
    scores = sub(g, 2.0 * np.log(priors), squares)
    made = {**normal_likelihoods(g, scores), **(made if uniform else {})}
    made["scores"] = scores
    if scores.width == 2:
        made["scores"] = g.flat(sub(g, g.columns(scores, [1]), g.columns(scores, [0])))
    return made


@landmarks_of("sklearn", "NearestCentroid")
def centroid_landmarks(model: Any, landmarks: Landmarks) -> None:
    landmarks.add_rows(dense(model.centroids_))
    for i in range(len(landmarks.values)):
        landmarks.add(i, np.asarray(model.centroids_)[:, i])
