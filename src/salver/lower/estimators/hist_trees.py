"""scikit-learn's HistGradientBoosting: double thresholds, missing values that go either way, splits on categories."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.errors import LoweringError
from salver.lower.converters import Outputs, predictor
from salver.lower.estimators.trees import both_classes
from salver.lower.graph import Graph, Value
from salver.lower.rows import Landmarks, landmarks_of
from salver.lower.tree import Tree, constant
from salver.lower.trees import tree_sums
from salver.types.signature import Label

_CLASSES = ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")

Categories = list[tuple[Label, ...] | None]
Known = dict[int, NDArray[np.float64]]
"""Of a categorical column: the numbers that stand for the encoder's categories, in the encoder's order."""


@predictor("sklearn", "HistGradientBoostingRegressor")
def hist_regressor(model: Any, x: Value, g: Graph) -> Outputs:
    raw = g.flat(_raw(model, x, g))
    link = type(model._loss.link).__name__
    if link not in ("IdentityLink", "LogLink"):
        raise LoweringError(f"no lowering for its {link}")
    return {"prediction": g.op("Exp", raw) if link == "LogLink" else raw}


@predictor("sklearn", "HistGradientBoostingClassifier")
def hist_classifier(model: Any, x: Value, g: Graph) -> Outputs:
    raw = _raw(model, x, g)
    if raw.width > 1:
        probabilities = g.op("Softmax", raw, axis=1, width=raw.width)
        label = g.op("ArgMax", raw, axis=1, keepdims=0)
        return {"prediction": label, "probabilities": probabilities, "scores": raw}
    label = g.cast(g.flat(g.op("Greater", raw, g.const(np.zeros(1)))), np.int64)
    return {"prediction": label, "probabilities": both_classes(raw, g), "scores": g.flat(raw)}


def _raw(model: Any, x: Value, g: Graph) -> Value:
    start = model._baseline_prediction.ravel()
    trees = [constant([value]) for value in start] + _trees(model, x.categories)
    return tree_sums(trees, x, g, targets=[i % len(start) for i in range(len(trees))])


def _trees(model: Any, categories: Categories) -> list[Tree]:
    order, known = _columns(model, categories)
    return [_tree(each, order, known) for stage in model._predictors for each in stage]


def _columns(model: Any, categories: Categories) -> tuple[NDArray[np.int64], Known]:
    """Where each column of the trees stands in the input, and the known values of the categorical ones.

    The model's own preprocessor puts the categorical columns first and codes them by their place among the encoder's.
    """
    is_categorical = model.is_categorical_
    if is_categorical is None:
        is_categorical = np.zeros(model.n_features_in_, dtype=bool)
    if any(known is not None and not is_categorical[i] for i, known in enumerate(categories)):
        raise LoweringError("it takes categories as they are")
    first = np.flatnonzero(is_categorical)
    known: Known = {}
    if len(first):
        encoder = model._preprocessor.named_transformers_["encoder"]
        for i, found in zip(first.tolist(), encoder.categories_, strict=True):
            known[i] = _numbers(found.tolist(), categories[i])
    return np.concatenate([first, np.flatnonzero(~is_categorical)]), known


def _numbers(found: list[Any], categories: tuple[Label, ...] | None) -> NDArray[np.float64]:
    """What stands for each of the encoder's categories: its code when the column has codes, else the number itself."""
    if categories is None:
        return np.array(found, dtype=np.float64)
    codes = {category: float(code) for code, category in enumerate(categories)}
    missing = [value for value in found if value is None or value != value]
    if any(value not in codes for value in found if value not in missing):
        raise LoweringError("the input's categories are not those it was trained on")
    return np.array([codes.get(value, np.nan) for value in found], dtype=np.float64)


def _tree(fitted: Any, order: NDArray[np.int64], known: Known) -> Tree:
    nodes = fitted.nodes
    is_leaf = nodes["is_leaf"].astype(bool)
    left = np.where(is_leaf, -1, nodes["left"].astype(np.int64))
    right = np.where(is_leaf, -1, nodes["right"].astype(np.int64))
    feature = np.where(is_leaf, 0, order[nodes["feature_idx"]])
    missing_left = nodes["missing_go_to_left"].astype(bool)
    members: dict[int, NDArray[np.float64]] = {}
    for node in np.flatnonzero(nodes["is_categorical"].astype(bool) & ~is_leaf).tolist():
        goes_left = _bits(fitted.raw_left_cat_bitsets[nodes["bitset_idx"][node]])
        values = known[int(feature[node])]
        inside = goes_left[: len(values)]
        if missing_left[node]:
            # Unseen categories go where missing ones go, and only non-members do that: so tell the other side's
            # members.
            left[node], right[node], missing_left[node] = right[node], left[node], False
            inside = ~inside
        chosen = values[inside]
        members[node] = chosen[~np.isnan(chosen)]
    values = nodes["value"].astype(np.float64)[:, None]
    return Tree(feature, nodes["num_threshold"].astype(np.float64), left, right, values, missing_left, members)


def _bits(words: NDArray[np.uint32]) -> NDArray[np.bool_]:
    return np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little").astype(bool)


@landmarks_of("sklearn", *_CLASSES)
def hist_landmarks(model: Any, landmarks: Landmarks) -> None:
    is_categorical: NDArray[np.bool_] | None = model.is_categorical_
    order = np.arange(model.n_features_in_) if is_categorical is None else np.argsort(~is_categorical, kind="stable")
    for stage in model._predictors:
        for fitted in stage:
            nodes = fitted.nodes[(fitted.nodes["is_leaf"] == 0) & (fitted.nodes["is_categorical"] == 0)]
            for i in np.unique(nodes["feature_idx"]).tolist():
                landmarks.add(int(order[i]), nodes["num_threshold"][nodes["feature_idx"] == i])
    landmarks.stepwise = True
