"""Splits on categories, made into splits on numbers.

ONNX Runtime's own BRANCH_MEMBER answers wrongly for sets with values beyond 31 (found with 1.32), so it is not used:
each set becomes one more column of 0 (a member) and 1. All columns are read at once from a table, whose row is found by
a search tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from salver.lower.ensemble import ensemble
from salver.lower.graph import Graph, Value
from salver.lower.tree import Tree

Sets = dict[tuple[int, bool, bytes], int]
"""Which extra column belongs to a feature, whether a missing value is a member, and the values of a set."""


def without(trees: Sequence[Tree], x: Value, g: Graph, whole: bool) -> tuple[Sequence[Tree], Value]:
    """The same trees with thresholds only, and the columns they are about: `x` and one more for each set of members."""
    sets: Sets = {}
    made = [_numeric(tree, x.width, sets) for tree in trees]
    return (made, g.concat([x, _outside(sets, x, g, whole)])) if sets else (trees, x)


def _numeric(tree: Tree, width: int, sets: Sets) -> Tree:
    if not tree.members:
        return tree
    feature, threshold, missing_left = tree.feature.copy(), tree.threshold.copy(), tree.missing_left.copy()
    for node, values in tree.members.items():
        key = (int(feature[node]), bool(missing_left[node]), np.unique(values).astype(np.float64).tobytes())
        feature[node] = width + sets.setdefault(key, len(sets))
        threshold[node], missing_left[node] = 0.5, False
    return replace(tree, feature=feature, threshold=threshold, missing_left=missing_left, members={})


def _outside(sets: Sets, x: Value, g: Graph, whole: bool) -> Value:
    """(rows, sets) float64: 0 where the set's column has one of its values, else 1."""
    search: list[Tree] = []
    tables: list[NDArray[np.float64]] = []
    for feature in sorted({feature for feature, _, _ in sets}):
        own = [(column, missing, np.frombuffer(raw)) for (f, missing, raw), column in sets.items() if f == feature]
        values = np.unique(np.concatenate([mine for _, _, mine in own]))
        search.append(_search_tree(feature, _edges(values, whole), sum(len(table) for table in tables)))
        table = np.zeros((2 * len(values) + 2, len(sets)))
        for column, missing, mine in own:
            table[:, column] = 1
            table[1:-1:2, column] = ~np.isin(values, mine)
            table[-1, column] = not missing
        tables.append(table)
    leaves = [(tree.values[tree.is_leaf, 0], i) for i, tree in enumerate(search)]
    found = ensemble(search, [tree.threshold for tree in search], leaves, len(search), x, g, np.float64)
    rows = g.op("Gather", g.const(np.concatenate(tables)), g.cast(found, np.int32), axis=0)
    # A row of one column's table says 0 for the sets of all others, so that adding puts them side by side.
    return g.op("ReduceSum", rows, g.const([1], np.int64), keepdims=0, width=len(sets))


def _edges(values: NDArray[np.float64], whole: bool) -> NDArray[np.float64]:
    """What cuts the line of numbers into: between, first value, between, second value, …, between; each edge is in the
    left part.
    """
    if not whole:
        return np.stack([np.nextafter(values, -np.inf), values], axis=1).ravel()
    # Cutting the fraction off moves numbers towards 0, so that 0 has two sides.
    low = np.where(values == 0, -1.0, np.nextafter(values, -np.inf))
    return np.stack([low, np.nextafter(values + 1, -np.inf)], axis=1).ravel()


def _search_tree(feature: int, edges: NDArray[np.float64], start: int) -> Tree:
    """A balanced tree whose leaf says in which part of the line a number lies, counted from `start`; the missing come
    last.
    """
    edges = np.append(edges, np.inf)
    count = 2 * len(edges) + 1
    left, right = np.full(count, -1), np.full(count, -1)
    threshold, values = np.zeros(count), np.zeros((count, 1))
    todo, last = [(0, 0, len(edges))], 0
    while todo:
        node, low, high = todo.pop()
        if low == high:
            values[node] = start + low
            continue
        middle = (low + high) // 2
        threshold[node] = edges[middle]
        left[node], right[node] = last + 1, last + 2
        todo += [(last + 1, low, middle), (last + 2, middle + 1, high)]
        last += 2
    return Tree(np.full(count, feature), threshold, left, right, values, np.zeros(count, bool))
