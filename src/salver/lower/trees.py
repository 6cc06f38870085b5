"""Sums over trees in a graph. Knows no library; the converters of all tree libraries end here.

A sum over trees is rounded, so which label wins a near-tie depends on the order of adding. Here it is the library's
own: ONNX Runtime adds a target's trees one after the other, starting from 0, in the precision of the node, and what a
library starts from (its base value) goes in as a first tree of one leaf.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.errors import LoweringError
from salver.lower import members
from salver.lower.ensemble import ensemble
from salver.lower.graph import Graph, Value
from salver.lower.tree import Compare, Tree, limits_of


def tree_sums(
    trees: Sequence[Tree],
    x: Value,
    g: Graph,
    *,
    targets: Sequence[int] | None = None,
    dtype: Any = np.float64,
    compare: Compare = "<=",
    single: bool = False,
    whole: bool = False,
) -> Value:
    """The sum of the trees' leaves in their order, (rows, outputs) of `dtype`, which is the precision of the sum.

    With `targets`, each tree has one value a leaf and adds it to that output; else each adds a vector to all of them.
    `single` says that the library casts its inputs to float32 before it compares them, `whole` that it cuts the
    fraction off before it looks for members.
    """
    trees, x = members.without(trees, x, g, whole)
    if dtype == np.float32:
        x, single = g.cast(x, np.float32), True
    limits = [limits_of(tree, compare, single, dtype) for tree in trees]
    if targets is not None:
        leaves = [(tree.values[tree.is_leaf, 0], target) for tree, target in zip(trees, targets, strict=True)]
        return ensemble(trees, limits, leaves, max(targets) + 1, x, g, dtype)
    width = trees[0].values.shape[1]
    if all(np.count_nonzero(tree.values[tree.is_leaf], axis=1).max() <= 1 for tree in trees):
        # One number a leaf says it all: pure leaves, or one output.
        leaves = [_single_entries(tree.values[tree.is_leaf]) for tree in trees]
        return ensemble(trees, limits, leaves, width, x, g, dtype)
    return _vector_sums(trees, limits, x, g, dtype)


def _vector_sums(trees: Sequence[Tree], limits: list[NDArray[Any]], x: Value, g: Graph, dtype: Any) -> Value:
    """A leaf of TreeEnsemble has one number only: it is the leaf's own, and looks up its vector in a table."""
    table = np.concatenate([tree.values[tree.is_leaf] for tree in trees]).astype(dtype)
    if dtype == np.float32 and len(table) > 2**24:
        raise LoweringError("it has more leaves than float32 can count")
    first = np.cumsum([0, *(int(tree.is_leaf.sum()) for tree in trees)])
    leaves = [(np.arange(first[t], first[t + 1], dtype=np.float64), t) for t in range(len(trees))]
    numbers = ensemble(trees, limits, leaves, len(trees), x, g, dtype)
    # Trees along the first axis: ReduceSum then adds whole rows one after the other, as the libraries do.
    numbers = g.cast(g.op("Transpose", numbers, perm=[1, 0]), np.int32)
    vectors = g.op("Gather", g.const(table), numbers, axis=0)
    return g.op("ReduceSum", vectors, g.const([0], np.int64), keepdims=0, width=table.shape[1])


def _single_entries(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    at = np.abs(values).argmax(axis=1)
    return values[np.arange(len(values)), at], at
