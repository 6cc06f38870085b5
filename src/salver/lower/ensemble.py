"""Writes trees as one TreeEnsemble node (ai.onnx.ml 5): the parts that are ONNX's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.lower.graph import Graph, Value
from salver.lower.tree import Tree

_LEQ = 0
_SUM, _NO_LINK = 1, 0

Leaves = tuple[NDArray[np.float64], "NDArray[np.int64] | int"]


def ensemble(
    trees: Sequence[Tree],
    limits: list[NDArray[Any]],
    leaves: Sequence[Leaves],
    outputs: int,
    x: Value,
    g: Graph,
    dtype: Any,
) -> Value:
    """One TreeEnsemble node over `x`, which has `dtype`; `leaves` are each tree's leaf values and their targets, in
    node order.
    """
    from onnx import numpy_helper

    parts: dict[str, list[NDArray[Any]]] = {}
    nodes = leaf = 0
    for tree, limit, (values, target) in zip(trees, limits, leaves, strict=True):
        made = _rooted(tree, limit, nodes, leaf)
        made |= {"leaf_weights": values, "leaf_targetids": np.broadcast_to(target, values.shape)}
        for name, array in made.items():
            parts.setdefault(name, []).append(array)
        nodes, leaf = nodes + len(made["nodes_featureids"]), leaf + len(values)
    arrays = {name: np.concatenate(pieces) for name, pieces in parts.items()}
    tensors = {"nodes_modes": np.uint8, "nodes_splits": dtype, "leaf_weights": dtype}
    attributes: dict[str, Any] = {n: numpy_helper.from_array(arrays.pop(n).astype(t)) for n, t in tensors.items()}
    attributes |= {name: array.astype(np.int64).tolist() for name, array in arrays.items()}
    if not any(attributes["nodes_missing_value_tracks_true"]):
        del attributes["nodes_missing_value_tracks_true"]
    link = {"aggregate_function": _SUM, "post_transform": _NO_LINK, "n_targets": outputs}
    return g.op("TreeEnsemble", x, domain="ai.onnx.ml", width=outputs, **link, **attributes)


def _rooted(tree: Tree, limit: NDArray[Any], nodes: int, leaf: int) -> dict[str, NDArray[Any]]:
    """The node arrays of one tree whose nodes are counted from `nodes` and whose leaves from `leaf`."""
    is_leaf = tree.is_leaf
    # A root has to be a node: a tree of one leaf is one that goes there both ways.
    inner = ~is_leaf if not is_leaf[0] else is_leaf[:1]
    place = np.where(is_leaf, np.cumsum(is_leaf) - 1 + leaf, np.cumsum(~is_leaf) - 1 + nodes)
    left, right = (np.maximum(side[inner], 0) for side in (tree.left, tree.right))
    return {
        "tree_roots": np.array([nodes]),
        "nodes_featureids": np.maximum(tree.feature[inner], 0),
        "nodes_modes": np.full(len(left), _LEQ),
        "nodes_splits": limit[inner],
        "nodes_truenodeids": place[left],
        "nodes_falsenodeids": place[right],
        "nodes_trueleafs": is_leaf[left],
        "nodes_falseleafs": is_leaf[right],
        "nodes_missing_value_tracks_true": tree.missing_left[inner],
    }
