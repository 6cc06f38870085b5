"""CatBoost: float32 inputs and borders, `>` goes right; sums are doubles, scaled and shifted at the end."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from salver.errors import LoweringError
from salver.frameworks.catboost import loss_of
from salver.lower.converters import Outputs, predictor
from salver.lower.estimators.trees import both_classes, note
from salver.lower.graph import Graph, Value
from salver.lower.rows import Landmarks, landmarks_of
from salver.lower.tree import Tree
from salver.lower.trees import tree_sums

_MOST_LEAVES = 2_000_000
"""A symmetric tree is a table here, and 2^depth leaves as a tree."""

Document = dict[str, Any]


def _document(model: Any) -> Document:
    """The model as CatBoost writes it in JSON. Raises LoweringError for what has no trees over numbers."""
    if model.get_cat_feature_indices() or model.get_text_feature_indices() or model.get_embedding_feature_indices():
        raise LoweringError("it has categorical or text features, of which a CatBoost model keeps only statistics")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json")
        return json.loads(path.read_text(encoding="utf-8"))


class _Floats:
    """Where the float features stand among the columns, and where their missing values go."""

    def __init__(self, document: Document) -> None:
        features: list[Document] = document["features_info"]["float_features"]
        self.column = np.array([feature["flat_feature_index"] for feature in features])
        # A missing value is less than all borders ("AsFalse"), or more ("AsTrue"); "AsIs" it fails every comparison.
        self.missing_left = np.array([feature["nan_value_treatment"] != "AsTrue" for feature in features])


def _trees(document: Document) -> list[Tree]:
    floats = _Floats(document)
    width = len(document["scale_and_bias"][1])
    if "oblivious_trees" not in document:
        return [_free_tree(tree, floats) for tree in document["trees"]]
    trees: list[Document] = document["oblivious_trees"]
    if sum(len(tree["leaf_values"]) for tree in trees) > _MOST_LEAVES * width:
        raise LoweringError("its symmetric trees are too deep to be written out")
    return [_symmetric_tree(tree, width, floats) for tree in trees]


def _symmetric_tree(tree: Document, width: int, floats: _Floats) -> Tree:
    """All nodes of a level ask the same; the i-th question is bit i of the leaf's number, so the last one is asked
    first.
    """
    splits: list[Document] = (tree["splits"] or [])[::-1]
    depth = len(splits)
    inner = 2**depth - 1
    node = np.arange(inner + 2**depth)
    level = np.floor(np.log2(node[:inner] + 1)).astype(np.int64)
    which = np.array([split["float_feature_index"] for split in splits], dtype=np.int64)[level]
    border = np.array([split["border"] for split in splits], dtype=np.float64)[level]
    padding = np.zeros(2**depth)
    values = np.array(tree["leaf_values"], dtype=np.float64).reshape(-1, width)
    return Tree(
        np.concatenate([floats.column[which], padding.astype(np.int64)]),
        np.concatenate([border, padding]),
        np.where(node < inner, 2 * node + 1, -1),
        np.where(node < inner, 2 * node + 2, -1),
        np.concatenate([np.zeros((inner, width)), values]),
        np.concatenate([floats.missing_left[which], padding.astype(bool)]),
    )


def _free_tree(root: Document, floats: _Floats) -> Tree:
    """A tree of any shape, told as nodes in nodes."""
    nodes: list[Document] = []
    left: list[int] = []
    right: list[int] = []
    todo: list[tuple[Document, list[int] | None, int]] = [(root, None, 0)]
    while todo:
        node, side, parent = todo.pop()
        if side is not None:
            side[parent] = len(nodes)
        if "split" in node:
            todo += [(node["right"], right, len(nodes)), (node["left"], left, len(nodes))]
        nodes.append(node)
        left.append(-1)
        right.append(-1)
    none = {"float_feature_index": 0, "border": 0.0}
    splits: list[Document] = [node.get("split", none) for node in nodes]
    which = np.array([split["float_feature_index"] for split in splits], dtype=np.int64)
    border = np.array([split["border"] for split in splits], dtype=np.float64)
    size = max(len(np.atleast_1d(node.get("value", 0.0))) for node in nodes)
    values = np.array([np.broadcast_to(node.get("value", 0.0), size) for node in nodes], dtype=np.float64)
    return Tree(floats.column[which], border, np.array(left), np.array(right), values, floats.missing_left[which])


def _raw(model: Any, x: Value, g: Graph) -> Value:
    """RawFormulaVal, (rows, outputs) float64."""
    document = _document(model)
    scale, bias = document["scale_and_bias"]
    total = tree_sums(_trees(document), x, g, single=True)
    if scale != 1:
        total = g.op("Mul", total, g.const(np.array([float(scale)])), width=total.width)
    if not np.any(bias):
        return total
    return g.op("Add", total, g.const(np.array(bias, dtype=np.float64)), width=total.width)


@predictor("catboost", "CatBoost", "CatBoostRegressor", "CatBoostRanker", numbers=True)
def numbers(model: Any, x: Value, g: Graph) -> Outputs:
    raw = _raw(model, x, g)
    if type(model).__name__ == "CatBoostRegressor":
        kind = model._get_default_prediction_type()
        if kind not in ("RawFormulaVal", "Exponent"):
            raise LoweringError(f"no lowering for the predictions of {loss_of(model)}")
        raw = g.op("Exp", raw, width=raw.width) if kind == "Exponent" else raw
    return {"prediction": g.flat(raw) if raw.width == 1 else raw}


@predictor("catboost", "CatBoostClassifier", numbers=True)
def classifier(model: Any, x: Value, g: Graph) -> Outputs:
    raw = _raw(model, x, g)
    loss = loss_of(model)
    if raw.width == 1:
        limit = g.const(np.array([_limit(model)]))
        label = g.cast(g.flat(g.op("Greater", raw, limit)), np.int64)
        return {"prediction": label, "probabilities": both_classes(raw, g)}
    if loss in ("MultiLogloss", "MultiCrossEntropy"):
        return {"prediction": g.cast(g.op("Greater", raw, g.const(np.array([_limit(model)]))), np.int64)}
    label = g.op("ArgMax", raw, axis=1, keepdims=0)
    if loss == "MultiClass":
        return {"prediction": label, "probabilities": g.op("Softmax", raw, axis=1, width=raw.width)}
    if loss == "MultiClassOneVsAll":
        return {"prediction": label, "probabilities": g.op("Sigmoid", raw, width=raw.width)}
    raise LoweringError(f"no lowering for the labels of {loss}")


def _limit(model: Any) -> float:
    """The sum above which it is the second class: the log-odds of the model's probability threshold."""
    threshold = float(model.get_probability_threshold())
    return float(np.log(threshold / (1.0 - threshold)))


@landmarks_of("catboost", "CatBoost", "CatBoostRegressor", "CatBoostRanker", "CatBoostClassifier")
def catboost_landmarks(model: Any, landmarks: Landmarks) -> None:
    try:
        note(_trees(_document(model)), landmarks)
    except LoweringError:
        return  # features that have no thresholds
