"""XGBoost: float32 inputs, thresholds and sums, `<`, and an objective that turns sums into answers."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.errors import LoweringError
from salver.frameworks.xgboost import booster_of, categories_of
from salver.lower.converters import Outputs, predictor
from salver.lower.estimators.trees import both_classes, note
from salver.lower.graph import Graph, Value
from salver.lower.rows import Landmarks, landmarks_of
from salver.lower.tree import Tree, constant
from salver.lower.trees import tree_sums

_CLASSIFIERS = ("XGBClassifier", "XGBRFClassifier")
_REGRESSORS = ("XGBRegressor", "XGBRFRegressor", "XGBRanker")
_PLAIN = (
    *("squarederror", "squaredlogerror", "pseudohubererror", "absoluteerror", "quantileerror", "expectileerror"),
    *("pairwise", "ndcg", "map", "logitraw"),
)
_EXP = ("poisson", "gamma", "tweedie", "cox", "aft")

Codes = dict[int, NDArray[np.float64]]
"""Of columns whose categories the input codes in another way than the model: the input's code of each of the model's.
"""


class _Model:
    """What XGBoost writes about a model, for as many rounds as it predicts with."""

    def __init__(self, model: Any) -> None:
        self.booster = booster_of(model)
        self.document = json.loads(bytes(self.booster.save_raw("json")))
        learner = self.document["learner"]
        self.objective: str = learner["objective"]["name"]
        booster = learner["gradient_booster"]
        if booster["name"] not in ("gbtree", "dart"):
            raise LoweringError(f"no lowering for the booster {booster['name']}")
        self.weights: list[float] | None = booster.get("weight_drop")
        self.forest: dict[str, Any] = booster.get("gbtree", booster)["model"]
        self.classes = int(learner["learner_model_param"]["num_class"])
        rounds = self.forest["iteration_indptr"]
        # The estimators stop at the best round of early stopping, a Booster does not.
        best = None if self.booster is model else self.booster.attr("best_iteration")
        self.count = int(rounds[-1 if best is None else int(best) + 1])

    def trees(self, codes: Codes) -> list[Tree]:
        weights = self.weights or [1.0] * self.count
        return [_tree(self.forest["trees"][i], np.float32(weights[i]), codes) for i in range(self.count)]

    def ask(self, margins: Any, *, raw: bool = False) -> NDArray[np.float32]:
        """What the objective makes of these sums of trees, (rows, …); what sums start from where `margins` is None."""
        import xgboost

        rows = np.zeros((1 if margins is None else len(margins), self.booster.num_features()), dtype=np.float32)
        options = {"feature_types": self.booster.feature_types, "feature_names": self.booster.feature_names}
        matrix: Any = xgboost.DMatrix(rows, base_margin=margins, enable_categorical=True, **options)
        return np.asarray(self._silent.predict(matrix, output_margin=raw), dtype=np.float32)

    @cached_property
    def _silent(self) -> Any:
        """The same model whose trees say 0, and only the first round of them."""
        import xgboost

        first = self.forest["iteration_indptr"][1]
        trees = [_silenced(tree) for tree in self.forest["trees"][:first]]
        count = self.forest["gbtree_model_param"] | {"num_trees": str(first)}
        forest = self.forest | {"trees": trees, "gbtree_model_param": count}
        forest |= {"iteration_indptr": [0, first], "tree_info": self.forest["tree_info"][:first]}
        learner = self.document["learner"]
        booster = learner["gradient_booster"]
        if self.weights is None:
            booster = booster | {"model": forest}
        else:
            booster = booster | {"gbtree": booster["gbtree"] | {"model": forest}, "weight_drop": self.weights[:first]}
        document = self.document | {"learner": learner | {"gradient_booster": booster}}
        made: Any = xgboost.Booster()
        made.load_model(bytearray(json.dumps(document), "utf-8"))
        return made


def _silenced(tree: dict[str, Any]) -> dict[str, Any]:
    left = tree["left_children"]
    conditions = [value if child >= 0 else 0.0 for value, child in zip(tree["split_conditions"], left, strict=True)]
    made = tree | {"split_conditions": conditions}
    return made | {"leaf_weights": [0.0] * len(tree["leaf_weights"])} if "leaf_weights" in tree else made


def _tree(tree: dict[str, Any], weight: np.float32, codes: Codes) -> Tree:
    left, right = np.array(tree["left_children"]), np.array(tree["right_children"])
    is_leaf = left < 0
    missing_left = np.array(tree["default_left"], dtype=bool)
    feature = np.where(is_leaf, 0, np.array(tree["split_indices"]))
    members: dict[int, NDArray[np.float64]] = {}
    parts = (tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"])
    for node, start, size in zip(*parts, strict=True):
        chosen = np.array(tree["categories"][start : start + size], dtype=np.int64)
        column = int(feature[node])
        members[node] = codes[column][chosen] if column in codes else chosen.astype(np.float64)
        # Here it is the members that go right.
        left[node], right[node], missing_left[node] = right[node], left[node], not missing_left[node]
    values = _leaf_values(tree, is_leaf) * weight
    threshold = np.array(tree["split_conditions"], dtype=np.float32).astype(np.float64)
    right[is_leaf] = -1
    return Tree(feature, threshold, left, right, values.astype(np.float64), missing_left, members)


def _leaf_values(tree: dict[str, Any], is_leaf: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(nodes, outputs). Vectors are kept apart, in the order of the leaves' places in `right_children`."""
    size = int(tree["tree_param"]["size_leaf_vector"])
    if size <= 1:
        return np.array(tree["split_conditions"], dtype=np.float32)[:, None]
    if "leaf_weights" not in tree:
        raise LoweringError("leaves are vectors, in the format of an older XGBoost")
    vectors = np.array(tree["leaf_weights"], dtype=np.float32).reshape(-1, size)
    made = np.zeros((len(is_leaf), size), dtype=np.float32)
    made[is_leaf] = vectors[np.array(tree["right_children"])[is_leaf]]
    return made


def _margins(model: _Model, x: Value, g: Graph) -> Value:
    """(rows, outputs) float32."""
    if not any(categories_of(model.booster)):
        x = g.numbers(x)
    codes = _codes(model, x)
    start = np.atleast_1d(model.ask(None, raw=True)[0]).astype(np.float64)
    trees = model.trees(codes)
    options: dict[str, Any] = {"dtype": np.float32, "compare": "<", "whole": True}
    if trees and trees[0].values.shape[1] > 1:
        return tree_sums([constant(start), *trees], x, g, **options)
    targets = [*range(len(start)), *model.forest["tree_info"][: model.count]]
    return tree_sums([*(constant([value]) for value in start), *trees], x, g, targets=targets, **options)


def _codes(model: _Model, x: Value) -> Codes:
    found: Codes = {}
    for i, (known, given) in enumerate(zip(categories_of(model.booster), x.categories, strict=True)):
        if given is None and known is None:
            continue
        if given is None or known is None or not set(known) <= set(given):
            raise LoweringError("the input's categories are not those it was trained on")
        if known != given:
            found[i] = np.array([given.index(category) for category in known], dtype=np.float64)
    return found


def _missing(model: Any, x: Value, g: Graph) -> Value:
    """The estimators can be told of a number that stands for a missing value."""
    missing = getattr(model, "missing", np.nan)
    if missing is None or np.isnan(missing):
        return x
    if any(categories is not None for categories in x.categories):
        raise LoweringError("it has categories and a number that stands for missing values")
    hit = g.op("Equal", g.cast(x, np.float32), g.const(np.array(missing, dtype=np.float32)))
    return g.op("Where", hit, g.const(np.array(np.nan)), x, width=x.width)


@predictor("xgboost", "Booster", *_REGRESSORS)
def numbers(model: Any, x: Value, g: Graph) -> Outputs:
    read = _Model(model)
    margins = _margins(read, _missing(model, x, g), g)
    if read.objective == "multi:softmax":
        return {"prediction": g.cast(g.op("ArgMax", margins, axis=1, keepdims=0), np.float64)}
    answer = g.cast(_linked(read.objective, margins, g), np.float64)
    return {"prediction": g.flat(answer) if margins.width == 1 else answer}


@predictor("xgboost", *_CLASSIFIERS)
def classifier(model: Any, x: Value, g: Graph) -> Outputs:
    if callable(model.objective):
        raise LoweringError("its objective is a function of its own")
    read = _Model(model)
    margins = _margins(read, _missing(model, x, g), g)
    if read.objective.startswith("multi:"):
        label = g.op("ArgMax", margins, axis=1, keepdims=0)
        return {"prediction": label, "probabilities": g.cast(_linked("multi:softprob", margins, g), np.float64)}
    if not read.objective.endswith(":logistic"):
        raise LoweringError(f"no lowering for the labels of {read.objective}")
    limit = g.const(_first_above_half(read), np.float32)
    label = g.cast(g.op("GreaterOrEqual", margins, limit), np.int64)
    if margins.width > 1:
        return {"prediction": label}
    return {"prediction": g.flat(label), "probabilities": both_classes(g.cast(margins, np.float64), g)}


def _first_above_half(model: _Model) -> float:
    """The smallest float32 margin of which the objective makes more than one half: a little above 0, by its own
    rounding.
    """
    outputs = len(np.atleast_1d(model.ask(None, raw=True)[0]))

    def wins(bits: int) -> bool:
        margin = np.full((1, outputs), _float32(bits), np.float32)
        return bool(model.ask(margin).ravel()[0] > 0.5)

    low, high = 0, int(np.float32(1).view(np.int32))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if wins(middle) else (middle, high)
    return _float32(high)


def _float32(bits: int) -> float:
    return float(np.int32(bits).view(np.float32))


def _linked(objective: str, margins: Value, g: Graph) -> Value:
    """What the objective makes of sums."""
    name = objective.partition(":")[2]
    if name in _PLAIN:
        return margins
    if name in _EXP:
        return g.op("Exp", margins, width=margins.width)
    if name == "logistic":
        return g.op("Sigmoid", g.cast(margins, np.float64), width=margins.width)
    if name == "hinge":
        return g.cast(g.op("Greater", margins, g.const(np.zeros(1, np.float32)), width=margins.width), np.float64)
    if name == "softprob":
        return g.op("Softmax", margins, axis=1, width=margins.width)
    raise LoweringError(f"no lowering for the objective {objective}")


@landmarks_of("xgboost", "Booster", *_CLASSIFIERS, *_REGRESSORS)
def xgboost_landmarks(model: Any, landmarks: Landmarks) -> None:
    try:
        note(_Model(model).trees({}), landmarks)
    except LoweringError:
        return  # a linear booster, or one of vectors: it has no lowering to be told apart from
