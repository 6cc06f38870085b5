"""Clusterings and mixtures: which centre is nearest, which component is likeliest."""

from __future__ import annotations

from typing import Any

import numpy as np

from salver.errors import LoweringError
from salver.lower.arithmetic import (
    add,
    affine,
    apply,
    dense,
    first_largest,
    matmul,
    mul,
    nearest,
    number,
    squared_distances,
    sub,
    total,
)
from salver.lower.converters import Outputs, predictor, transformer
from salver.lower.estimators.heads import softmax
from salver.lower.graph import Graph, Value
from salver.lower.rows import Landmarks, landmarks_of


@predictor("sklearn", "KMeans", "MiniBatchKMeans", "MeanShift", "AffinityPropagation", numbers=True)
def centres(model: Any, x: Value, g: Graph) -> Outputs:
    return {"prediction": nearest(g, x, model.cluster_centers_)}


@transformer("sklearn", "KMeans", "MiniBatchKMeans", "BisectingKMeans", numbers=True)
def distances_to_centres(model: Any, x: Value, g: Graph) -> Value:
    return apply(g, "Sqrt", squared_distances(g, x, model.cluster_centers_))


@predictor("sklearn", "BisectingKMeans", numbers=True)
def halved(model: Any, x: Value, g: Graph) -> Outputs:
    """The leaf for which a row is nearer to the right one of two centres at each split on the way: none of them is amiss."""
    splits: list[Any] = []
    leaves: list[tuple[int, dict[int, float]]] = []
    todo: list[tuple[Any, dict[int, float]]] = [(model._bisecting_tree, {})]
    while todo:
        node, way = todo.pop()
        if node.left is None:
            leaves.append((node.label, way))
            continue
        todo += [(node.left, {**way, len(splits): 0.0}), (node.right, {**way, len(splits): 1.0})]
        splits.append((node.left.center, node.right.center))
    if not splits:
        raise LoweringError("BisectingKMeans of one cluster")
    pairs = np.asarray(splits) + getattr(model, "_X_mean", 0.0)
    left, right = (affine(g, x, -2.0 * side.T, (side * side).sum(axis=1)) for side in (pairs[:, 0], pairs[:, 1]))
    turns = number(g, apply(g, "Less", right, left))
    amiss, start = np.zeros((len(splits), len(leaves))), np.zeros(len(leaves))
    for k, (_, way) in enumerate(leaves):
        amiss[list(way), k] = [1.0 - 2.0 * side for side in way.values()]
        start[k] = sum(way.values())
    leaf = g.op("ArgMin", affine(g, turns, amiss, start), axis=1, keepdims=0)
    return {"prediction": g.op("Gather", g.const([label for label, _ in leaves], np.int64), leaf)}


@predictor("sklearn", "Birch", numbers=True)
def subclusters(model: Any, x: Value, g: Graph) -> Outputs:
    place = nearest(g, x, model.subcluster_centers_)
    return {"prediction": g.op("Gather", g.const(np.asarray(model.subcluster_labels_, dtype=np.int64)), place)}


@landmarks_of("sklearn", "KMeans", "MiniBatchKMeans", "MeanShift", "AffinityPropagation", "BisectingKMeans", "Birch")
def centre_landmarks(model: Any, landmarks: Landmarks) -> None:
    made = dense(model.subcluster_centers_ if hasattr(model, "subcluster_centers_") else model.cluster_centers_)
    landmarks.add_rows(made)
    for i in range(made.shape[1]):
        landmarks.add(i, made[:, i])


@predictor("sklearn", "GaussianMixture", numbers=True)
def mixture(model: Any, x: Value, g: Graph) -> Outputs:
    roots, kind = np.asarray(model.precisions_cholesky_), model.covariance_type
    columns = x.width
    parts: list[Value] = []
    logs: list[float] = []
    for k, mean in enumerate(model.means_):
        root = roots if kind == "tied" else roots[k]
        off = sub(g, x, mean)
        turned = matmul(g, off, root) if kind in ("full", "tied") else mul(g, off, root)
        parts.append(total(g, mul(g, turned, turned)))
        diagonal = np.diag(root) if kind in ("full", "tied") else np.broadcast_to(root, (columns,))
        logs.append(float(np.log(diagonal).sum()))
    constant = -0.5 * columns * np.log(2 * np.pi) + np.array(logs) + np.log(model.weights_)
    scores = add(g, mul(g, g.concat(parts), -0.5), constant)
    return {"prediction": first_largest(g, scores), "probabilities": softmax(g, scores)}


@landmarks_of("sklearn", "GaussianMixture")
def mixture_landmarks(model: Any, landmarks: Landmarks) -> None:
    landmarks.add_rows(model.means_)
    for i in range(model.means_.shape[1]):
        landmarks.add(i, model.means_[:, i])
