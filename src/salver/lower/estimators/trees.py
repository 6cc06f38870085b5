"""scikit-learn's trees, forests and gradient boosting.

All but HistGradientBoosting cast their inputs to float32 and compare them with double thresholds. Sums are doubles,
added in the order of the trees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from salver.errors import LoweringError
from salver.lower.converters import Outputs, predictor
from salver.lower.graph import Graph, Value
from salver.lower.rows import Landmarks, landmarks_of
from salver.lower.tree import Tree, constant
from salver.lower.trees import tree_sums

_FORESTS = ("RandomForestClassifier", "ExtraTreesClassifier")
_REGRESSION_FORESTS = ("RandomForestRegressor", "ExtraTreesRegressor")


def read_tree(tree: Any, values: NDArray[np.float64] | None = None, features: Any = None) -> Tree:
    """The arrays of an `sklearn.tree._tree.Tree`; its values (outputs and classes in a row) unless others are given.

    `features` are the columns it was trained on, where those were only some.
    """
    feature = np.where(tree.children_left < 0, 0, tree.feature)
    return Tree(
        feature if features is None else np.asarray(features)[feature],
        tree.threshold,
        tree.children_left,
        tree.children_right,
        tree.value.reshape(tree.node_count, -1) if values is None else values.reshape(tree.node_count, -1),
        tree.missing_go_to_left.astype(bool),
    )


def _mean(trees: Sequence[Any], x: Value, g: Graph) -> Value:
    total = tree_sums([read_tree(tree.tree_) for tree in trees], x, g, single=True)
    if len(trees) == 1:
        return total
    return g.op("Div", total, g.const(np.array([float(len(trees))])), width=total.width)


def _classes(mean: Value, model: Any, g: Graph) -> Outputs:
    """The most probable class of each output; `mean` has the outputs' classes side by side, padded to the same number."""
    if model.n_outputs_ == 1:
        return {"prediction": g.op("ArgMax", mean, axis=1, keepdims=0), "probabilities": mean}
    padded = mean.width // model.n_outputs_
    shape = g.const([-1, model.n_outputs_, padded], np.int64)
    return {"prediction": g.op("ArgMax", g.op("Reshape", mean, shape), axis=2, keepdims=0)}


def _numbers(mean: Value, model: Any, g: Graph) -> Outputs:
    return {"prediction": g.flat(mean) if model.n_outputs_ == 1 else mean}


@predictor("sklearn", "DecisionTreeClassifier", "ExtraTreeClassifier", numbers=True)
def tree_classifier(model: Any, x: Value, g: Graph) -> Outputs:
    return _classes(_mean([model], x, g), model, g)


@predictor("sklearn", "DecisionTreeRegressor", "ExtraTreeRegressor", numbers=True)
def tree_regressor(model: Any, x: Value, g: Graph) -> Outputs:
    return _numbers(_mean([model], x, g), model, g)


@predictor("sklearn", *_FORESTS, numbers=True)
def forest_classifier(model: Any, x: Value, g: Graph) -> Outputs:
    return _classes(_mean(model.estimators_, x, g), model, g)


@predictor("sklearn", *_REGRESSION_FORESTS, numbers=True)
def forest_regressor(model: Any, x: Value, g: Graph) -> Outputs:
    return _numbers(_mean(model.estimators_, x, g), model, g)


@predictor("sklearn", "GradientBoostingRegressor", numbers=True)
def boosting_regressor(model: Any, x: Value, g: Graph) -> Outputs:
    return {"prediction": g.flat(_boosted(model, x, g))}


@predictor("sklearn", "GradientBoostingClassifier", numbers=True)
def boosting_classifier(model: Any, x: Value, g: Graph) -> Outputs:
    raw = _boosted(model, x, g)
    if raw.width > 1:
        probabilities = g.op("Softmax", raw, axis=1, width=raw.width)
        label = g.op("ArgMax", raw, axis=1, keepdims=0)
        return {"prediction": label, "probabilities": probabilities, "scores": raw}
    label = g.cast(g.flat(g.op("GreaterOrEqual", raw, g.const(np.zeros(1)))), np.int64)
    # Exponential loss fits half the log-odds.
    odds = g.op("Mul", raw, g.const(np.full(1, 2.0))) if model.loss == "exponential" else raw
    return {"prediction": label, "probabilities": both_classes(odds, g), "scores": g.flat(raw)}


def _boosted(model: Any, x: Value, g: Graph) -> Value:
    start = _start(model)
    trees = [constant([value]) for value in start]
    for stage in model.estimators_:
        trees += [read_tree(tree.tree_, tree.tree_.value * model.learning_rate) for tree in stage]
    width = len(start)
    return tree_sums(trees, x, g, targets=[i % width for i in range(len(trees))], single=True)


def _start(model: Any) -> list[float]:
    """What boosting starts from, the same for every row. Asked of the model: it depends on the loss."""
    if isinstance(model.init_, str):
        return [0.0] * model.estimators_.shape[1]
    if not type(model.init_).__module__.startswith("sklearn.dummy"):
        raise LoweringError(f"it starts from a {type(model.init_).__name__} (init=)")
    rows = np.zeros((1, model.n_features_in_), dtype=np.float32)
    return cast("list[float]", model._raw_predict_init(rows)[0].tolist())


def both_classes(odds: Value, g: Graph) -> Value:
    """(rows, 1) log-odds of the second class → the probabilities of both."""
    positive = g.op("Sigmoid", odds, width=1)
    return g.concat([g.op("Sub", g.const(np.ones(1)), positive, width=1), positive])


@predictor("sklearn", "IsolationForest", numbers=True)
def isolation_forest(model: Any, x: Value, g: Graph) -> Outputs:
    """The score is -2^(-depth / denominator) - offset. It rises with the depth, so the label is decided by the depth,
    which is a sum of the same numbers here and there: rows exactly at the offset (some training row always is) get
    their label too.
    """
    trees = [
        read_tree(tree.tree_, model._decision_path_lengths[i] + model._average_path_length_per_tree[i] - 1.0, features)
        for i, (tree, features) in enumerate(zip(model.estimators_, model.estimators_features_, strict=True))
    ]
    depth = tree_sums(trees, x, g, targets=[0] * len(trees), single=True)
    denominator = _isolation_denominator(model)

    def outlying(depths: float) -> bool:
        with np.errstate(over="ignore"):
            return bool((-(2 ** (-np.array([depths]) / denominator)) - model.offset_)[0] < 0)

    limit = first_false(outlying, 0.0, 1e6)
    label = g.cast(g.flat(g.op("GreaterOrEqual", depth, g.const(np.array([limit])))), np.int64)
    power = g.op("Pow", g.const(np.full(1, 2.0)), g.op("Div", g.op("Neg", depth), g.const(np.array([denominator]))))
    score = g.op("Sub", g.op("Neg", power), g.const(np.array([float(model.offset_)])))
    return {"prediction": label, "scores": g.flat(score)}


def _isolation_denominator(model: Any) -> float:
    """Trees times the average path of an unsuccessful search in a binary tree of that many rows (Liu et al., 2008)."""
    count = int(model._max_samples)
    if count <= 2:
        raise LoweringError("its trees have two rows or fewer")
    average = 2.0 * (np.log(count - 1.0) + np.euler_gamma) - 2.0 * (count - 1.0) / count
    return float(len(model.estimators_) * average)


def first_false(holds: Any, low: float, high: float) -> float:
    """The smallest double in (low, high] for which `holds` is false; it holds from `low` up to there."""
    if not holds(low):
        return -np.inf
    while np.nextafter(low, high) < high:
        middle = low + (high - low) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return high


@landmarks_of("sklearn", "DecisionTreeClassifier", "ExtraTreeClassifier", "DecisionTreeRegressor", "ExtraTreeRegressor")
def tree_landmarks(model: Any, landmarks: Landmarks) -> None:
    note([read_tree(model.tree_)], landmarks)


@landmarks_of("sklearn", *_FORESTS, *_REGRESSION_FORESTS)
def forest_landmarks(model: Any, landmarks: Landmarks) -> None:
    note([read_tree(tree.tree_) for tree in model.estimators_], landmarks)


@landmarks_of("sklearn", "GradientBoostingClassifier", "GradientBoostingRegressor")
def boosting_landmarks(model: Any, landmarks: Landmarks) -> None:
    note([read_tree(tree.tree_) for tree in model.estimators_.ravel()], landmarks)


@landmarks_of("sklearn", "IsolationForest")
def isolation_landmarks(model: Any, landmarks: Landmarks) -> None:
    parts = zip(model.estimators_, model.estimators_features_, strict=True)
    note([read_tree(tree.tree_, None, features) for tree, features in parts], landmarks)


def note(trees: Sequence[Tree], landmarks: Landmarks) -> None:
    """Note all thresholds, and all values that splits on categories tell apart."""
    feature = np.concatenate([tree.feature for tree in trees])
    inner = ~np.concatenate([tree.is_leaf for tree in trees])
    threshold = np.concatenate([tree.threshold for tree in trees])
    inner[[at + first for tree, first in _places(trees) for at in tree.members]] = False
    for column in np.unique(feature[inner]).tolist():
        landmarks.add(column, np.unique(threshold[inner & (feature == column)]))
    for tree in trees:
        for at, values in tree.members.items():
            landmarks.add(int(tree.feature[at]), values)
    landmarks.stepwise = True


def _places(trees: Sequence[Tree]) -> list[tuple[Tree, int]]:
    sizes = np.cumsum([0, *(len(tree.feature) for tree in trees)])
    return list(zip(trees, sizes[:-1].tolist(), strict=True))
