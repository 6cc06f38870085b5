"""LightGBM: doubles throughout, `<=`, missing values and zeros by each node's rule, splits on sets of categories."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.errors import LoweringError
from salver.frameworks.lightgbm import booster_of, categories_of
from salver.lower.converters import Outputs, predictor
from salver.lower.estimators.trees import both_classes, first_false, note
from salver.lower.graph import Graph, Value
from salver.lower.rows import Landmarks, landmarks_of
from salver.lower.tree import Tree, constant
from salver.lower.trees import tree_sums

_ZERO = float(np.float32(1e-35))
"""Numbers up to this size are 0 to LightGBM (kZeroThreshold)."""
_CATEGORICAL, _DEFAULT_LEFT, _MISSING_IS_ZERO, _MISSING_IS_NAN = 1, 2, 4, 8  # bits of decision_type
_PLAIN = (
    *("regression", "regression_l1", "huber", "fair", "quantile", "mape"),
    *("lambdarank", "rank_xendcg", "custom"),
)
_EXP = ("poisson", "gamma", "tweedie")

Fields = dict[str, str]


class _Model:
    """A model as LightGBM writes it, for as many rounds as it predicts with."""

    def __init__(self, model: Any) -> None:
        self.booster = booster_of(model)
        head, *blocks = self.booster.model_to_string().partition("end of trees")[0].split("\nTree=")
        self._fields = _fields(head)
        self.outputs = int(self._fields["num_tree_per_iteration"])
        self.objective, *self.parameters = (self._fields.get("objective") or "custom").split()
        self.averages = "average_output" in head.splitlines()
        self.blocks = [_fields(block) for block in blocks]

    def trees(self) -> list[Tree]:
        return [_tree(block) for block in self.blocks]

    def parameter(self, name: str) -> float:
        return next(float(p.partition(":")[2]) for p in self.parameters if p.startswith(f"{name}:"))

    def zeros(self) -> list[int]:
        """Columns whose zeros are missing values."""
        found: set[int] = set()
        for block in self.blocks:
            if "split_feature" in block:
                rules = _numbers(block, "decision_type", np.int64)
                found.update(_numbers(block, "split_feature", np.int64)[_is(rules, _MISSING_IS_ZERO)].tolist())
        return sorted(found)


def _fields(text: str) -> Fields:
    return {key: value for key, _, value in (line.partition("=") for line in text.splitlines())}


def _numbers(block: Fields, name: str, dtype: Any) -> NDArray[Any]:
    return np.array(block[name].split(), dtype=np.float64 if dtype is np.float64 else np.int64)


def _is(rules: NDArray[np.int64], bit: int) -> NDArray[np.bool_]:
    return (rules & bit) > 0


def _tree(block: Fields) -> Tree:
    """Inner nodes first, then the leaves, which LightGBM counts -1, -2, …"""
    if block.get("is_linear", "0") != "0":
        raise LoweringError("its leaves are linear models (linear_tree)")
    leaf_values = _numbers(block, "leaf_value", np.float64)
    if "split_feature" not in block or not block["split_feature"]:
        return constant(leaf_values[:1])
    rules = _numbers(block, "decision_type", np.int64)
    threshold = _numbers(block, "threshold", np.float64)
    inner, leaves = len(rules), len(leaf_values)
    children = [_numbers(block, side, np.int64) for side in ("left_child", "right_child")]
    left, right = (np.concatenate([np.where(c < 0, inner + ~c, c), np.full(leaves, -1)]) for c in children)
    # Unless missing values have a direction of their own, they count as 0.
    directed = _is(rules, _MISSING_IS_ZERO) | _is(rules, _MISSING_IS_NAN)
    missing_left = np.where(directed, _is(rules, _DEFAULT_LEFT), threshold >= 0) & ~_is(rules, _CATEGORICAL)
    padding = np.zeros(leaves)
    return Tree(
        np.concatenate([_numbers(block, "split_feature", np.int64), padding.astype(np.int64)]),
        np.concatenate([_beside_zero(threshold), padding]),
        left,
        right,
        np.concatenate([np.zeros(inner), leaf_values])[:, None],
        np.concatenate([missing_left, padding.astype(bool)]),
        _members(block, rules, threshold),
    )


def _beside_zero(threshold: NDArray[np.float64]) -> NDArray[np.float64]:
    """The thresholds, with those among LightGBM's zeros moved to where all zeros are on the side of 0 itself."""
    below = np.where((threshold >= -_ZERO) & (threshold < 0), np.nextafter(-_ZERO, -np.inf), threshold)
    return np.where((threshold >= 0) & (threshold < _ZERO), _ZERO, below)


def _members(block: Fields, rules: NDArray[np.int64], threshold: NDArray[np.float64]) -> dict[int, NDArray[np.float64]]:
    """Categories that go left, by node: bits of 32-bit words; the threshold says which words."""
    if block["num_cat"] == "0":
        return {}
    bounds = _numbers(block, "cat_boundaries", np.int64)
    words = _numbers(block, "cat_threshold", np.int64).astype("<u4")
    made: dict[int, NDArray[np.float64]] = {}
    for node in np.flatnonzero(_is(rules, _CATEGORICAL)).tolist():
        at = int(threshold[node])
        bits = np.unpackbits(words[bounds[at] : bounds[at + 1]].view(np.uint8), bitorder="little")
        made[node] = np.flatnonzero(bits).astype(np.float64)
    return made


def _raw(model: _Model, x: Value, g: Graph) -> Value:
    """(rows, outputs) float64: sums, or for boosting "rf" means, of the trees."""
    trees = model.trees()
    x = _with_missing(model, trees, x, g)
    # Each output starts from 0, so that one whose trees were all dropped is there too.
    zeros = [constant([0.0])] * model.outputs
    targets = [i % model.outputs for i in range(model.outputs + len(trees))]
    total = tree_sums([*zeros, *trees], x, g, targets=targets, whole=True)
    if not model.averages:
        return total
    return g.op("Div", total, g.const(np.array([float(len(trees) // model.outputs)])), width=total.width)


def _with_missing(model: _Model, trees: Sequence[Tree], x: Value, g: Graph) -> Value:
    """The columns with NaN for all that LightGBM takes for missing: zeros where it is told so, codes of unseen
    categories.
    """
    known = categories_of(model.booster)
    if not any(known):
        x = g.numbers(x)
    if [categories or None for categories in x.categories] != known:
        raise LoweringError("the input's categories are not those it was trained on")
    low, high = np.full(x.width, np.inf), np.full(x.width, -np.inf)
    low[model.zeros()], high[model.zeros()] = -_ZERO, _ZERO
    coded = [i for i, categories in enumerate(known) if categories is not None]
    low[coded], high[coded] = -1.0, -1.0
    compared = {int(t.feature[i]) for t in trees for i in np.flatnonzero(~t.is_leaf) if i not in t.members}
    if not any(low[i] <= high[i] for i in compared):
        return x
    inside = g.op("And", g.op("GreaterOrEqual", x, g.const(low)), g.op("LessOrEqual", x, g.const(high)))
    made = g.op("Where", inside, g.const(np.array(np.nan)), x, width=x.width)
    made.categories = list(x.categories)
    return made


@predictor("lightgbm", "Booster", "LGBMRegressor", "LGBMRanker")
def numbers(model: Any, x: Value, g: Graph) -> Outputs:
    read = _Model(model)
    answer = _linked(read, _raw(read, x, g), g)
    return {"prediction": g.flat(answer) if read.outputs == 1 else answer}


@predictor("lightgbm", "LGBMClassifier")
def classifier(model: Any, x: Value, g: Graph) -> Outputs:
    read = _Model(model)
    raw = _raw(read, x, g)
    if read.objective == "multiclass":
        probabilities = _linked(read, raw, g)
        return {"prediction": g.op("ArgMax", raw, axis=1, keepdims=0), "probabilities": probabilities}
    if read.objective == "multiclassova":
        probabilities = _linked(read, raw, g)
        return {"prediction": g.op("ArgMax", probabilities, axis=1, keepdims=0), "probabilities": probabilities}
    if read.objective not in ("binary", "cross_entropy"):
        raise LoweringError(f"no lowering for the labels of its objective {read.objective}")
    slope = read.parameter("sigmoid") if read.objective == "binary" else 1.0
    label = g.cast(g.flat(g.op("GreaterOrEqual", raw, g.const(np.array([_even(slope)])))), np.int64)
    return {"prediction": label, "probabilities": both_classes(_times(raw, slope, g), g)}


def _even(slope: float) -> float:
    """The smallest sum whose probability is more than that of the other class, as rounded: just above 0."""

    def second_loses(total: float) -> bool:
        positive = 1.0 / (1.0 + math.exp(-slope * total))
        return not positive > 1.0 - positive

    return first_false(second_loses, 0.0, 1.0 / slope)


def _times(raw: Value, factor: float, g: Graph) -> Value:
    return raw if factor == 1.0 else g.op("Mul", raw, g.const(np.array([factor])), width=raw.width)


def _linked(model: _Model, raw: Value, g: Graph) -> Value:
    """What the objective makes of sums (ObjectiveFunction::ConvertOutput)."""
    name, width = model.objective, raw.width
    if name == "regression" and "sqrt" in model.parameters:
        return g.op("Mul", g.op("Sign", raw), g.op("Mul", raw, raw), width=width)
    if name in _PLAIN:
        return raw
    if name in _EXP:
        return g.op("Exp", raw, width=width)
    if name in ("binary", "multiclassova"):
        return g.op("Sigmoid", _times(raw, model.parameter("sigmoid"), g), width=width)
    if name == "cross_entropy":
        return g.op("Sigmoid", raw, width=width)
    if name == "cross_entropy_lambda":
        return g.op("Log", g.op("Add", g.const(np.ones(1)), g.op("Exp", raw)), width=width)
    if name == "multiclass":
        return g.op("Softmax", raw, axis=1, width=width)
    raise LoweringError(f"no lowering for the objective {name}")


@landmarks_of("lightgbm", "Booster", "LGBMRegressor", "LGBMRanker", "LGBMClassifier")
def lightgbm_landmarks(model: Any, landmarks: Landmarks) -> None:
    try:
        note(_Model(model).trees(), landmarks)
    except LoweringError:
        return  # linear leaves: it has no lowering to be told apart from
