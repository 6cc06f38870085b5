"""Trees written as graphs, held against a walk through them node by node."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

from salver.lower.graph import Graph
from salver.lower.tree import Tree, constant, limits_of
from salver.lower.trees import tree_sums

WIDTH = 5


def _rng():
    return np.random.default_rng(0)


def _tree(rng, depth=4, outputs=1, members=0.0, low=0, count=20):
    """A full tree over small whole and half numbers; a share of its splits are on sets of whole numbers from `low` on."""
    size = 2 ** (depth + 1) - 1
    node = np.arange(size)
    inner = node < 2**depth - 1
    chosen = {
        int(i): np.sort(rng.choice(np.arange(low, low + count), rng.integers(1, count), replace=False)).astype(float)
        for i in node[inner]
        if rng.random() < members
    }
    return Tree(
        rng.integers(0, WIDTH, size),
        low + rng.integers(0, 2 * count, size) / 2,
        np.where(inner, 2 * node + 1, -1),
        np.where(inner, 2 * node + 2, -1),
        rng.normal(size=(size, outputs)),
        rng.random(size) < 0.5,
        chosen,
    )


def _rows(rng, low=0, count=20):
    X = rng.integers(low - 3, low + count + 3, (200, WIDTH)).astype(float)
    X[rng.random(X.shape) < 0.2] += 0.5
    X[rng.random(X.shape) < 0.1] = np.nan
    X[:2] = [[np.inf] * WIDTH, [-np.inf] * WIDTH]
    return X


def _leaf(tree, row, compare, whole=False):
    node = 0
    while tree.left[node] >= 0:
        value, threshold = row[tree.feature[node]], tree.threshold[node]
        if np.isnan(value):
            left = tree.missing_left[node]
        elif node in tree.members:
            left = (np.trunc(value) if whole else value) in tree.members[node]
        else:
            left = value < threshold if compare == "<" else value <= threshold
        node = tree.left[node] if left else tree.right[node]
    return tree.values[node]


def _walked(trees, X, outputs, *, targets=None, dtype=np.float64, compare="<=", whole=False):
    """The leaves added one after the other, in `dtype`."""
    sums = np.zeros((len(X), outputs), dtype)
    for i, row in enumerate(X):
        for t, tree in enumerate(trees):
            leaf = _leaf(tree, row, compare, whole).astype(dtype)
            sums[i, slice(None) if targets is None else targets[t]] += leaf if targets is None else leaf[0]
    return sums


def _session(trees, **options):
    graph = Graph([None] * WIDTH)
    made = graph.model({"sums": tree_sums(trees, graph.x, graph, **options)})
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 3
    return ort.InferenceSession(made, settings, providers=["CPUExecutionProvider"])


def _check(trees, X, outputs, **options):
    session = _session(trees, **options)
    want = _walked(trees, X, outputs, **options)
    for size in (1, 7, 32, len(X)):
        parts = [session.run(None, {"X": X[at : at + size]})[0] for at in range(0, len(X), size)]
        np.testing.assert_array_equal(np.concatenate(parts), want)


@pytest.mark.parametrize("compare", ["<=", "<"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sums_are_those_of_adding_in_order(compare, dtype):
    rng = _rng()
    trees = [_tree(rng) for _ in range(40)]
    _check(trees, _rows(rng), 3, targets=[i % 3 for i in range(40)], compare=compare, dtype=dtype)


@pytest.mark.parametrize("outputs", [2, 3, 4, 9])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_vectors_of_leaves_are_added_in_order(outputs, dtype):
    rng = _rng()
    _check([_tree(rng, outputs=outputs) for _ in range(37)], _rows(rng), outputs, dtype=dtype)


def test_leaves_with_one_entry_each_need_no_table():
    rng = _rng()
    trees = [_tree(rng, outputs=3) for _ in range(20)]
    for tree in trees:
        tree.values[:] *= np.eye(3)[rng.integers(0, 3, len(tree.values))]
    _check(trees, _rows(rng), 3)


def test_a_first_tree_of_one_leaf_is_what_the_sum_starts_from():
    rng = _rng()
    trees = [constant([0.1]), *(_tree(rng) for _ in range(20))]
    _check(trees, _rows(rng), 1, targets=[0] * 21)
    _check([constant([0.1])], _rows(rng), 1, targets=[0])


def test_a_first_vector_is_what_the_sums_start_from():
    rng = _rng()
    _check([constant([0.1, 0.2]), *(_tree(rng, outputs=2) for _ in range(9))], _rows(rng), 2)


@pytest.mark.parametrize(("low", "count"), [(0, 31), (0, 32), (0, 64), (0, 65), (0, 300), (-7, 20), (1000, 40)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_members_go_left(low, count, dtype):
    rng = _rng()
    trees = [_tree(rng, members=0.6, low=low, count=count) for _ in range(10)]
    _check(trees, _rows(rng, low, count), 1, targets=[0] * 10, dtype=dtype)


def test_the_fraction_is_cut_off_before_members_are_looked_for():
    rng = _rng()
    trees = [_tree(rng, members=1.0) for _ in range(10)]
    X = _rows(rng)
    X[X < 0] = rng.choice([-0.5, -0.999, -1.0, -1.5], int((X < 0).sum()))
    _check(trees, X, 1, targets=[0] * 10, whole=True)


def test_a_set_without_members_is_no_ones():
    rng = _rng()
    tree = _tree(rng, depth=1)
    tree = Tree(tree.feature, tree.threshold, tree.left, tree.right, tree.values, tree.missing_left, {0: np.zeros(0)})
    _check([tree], _rows(rng), 1, targets=[0])


@pytest.mark.parametrize("compare", ["<=", "<"])
def test_double_limits_say_what_float32_comparisons_say(compare):
    """For thresholds of all sizes, and for numbers on both sides of where rounding to float32 changes the answer."""
    rng = _rng()
    bits = rng.integers(0, 2**32, 2000, dtype=np.uint32).view(np.float32)
    bits = bits[~np.isnan(bits)].astype(np.float64)
    largest = float(np.finfo(np.float32).max)
    threshold = np.concatenate([bits, rng.normal(size=500), [0.0, -0.0, 1e-45, largest, -largest, 1e300]])
    threshold = np.concatenate([threshold, [np.inf, -np.inf]])
    none = np.full(len(threshold), -1)
    tree = Tree(none, threshold, none, none, np.zeros((len(threshold), 1)), np.zeros(len(threshold), bool))
    limit = limits_of(tree, compare, True, np.float64)
    with np.errstate(over="ignore"):
        beside = [limit, np.nextafter(limit, np.inf), np.nextafter(limit, -np.inf), threshold, *rng.normal(size=(3, 1))]
        for x in beside:
            single = np.broadcast_to(x, threshold.shape).astype(np.float32).astype(np.float64)
            want = single <= threshold if compare == "<=" else single < threshold
            np.testing.assert_array_equal(x <= limit, want)
