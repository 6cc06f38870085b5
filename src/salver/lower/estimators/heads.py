"""How classifiers turn scores into labels and probabilities, and how one estimator asks another for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from salver.errors import LoweringError
from salver.lower.arithmetic import above, apply, column, div, first_largest, mul, pair, sub, total, where
from salver.lower.converters import Outputs
from salver.lower.graph import Graph, Value


def labels(g: Graph, scores: Value) -> Value:
    """Scores (rows,) of the positive class, or (rows, classes): the index of the class."""
    return first_largest(g, scores) if scores.width else above(g, scores, 0.0)


def softmax(g: Graph, scores: Value) -> Value:
    return g.op("Softmax", scores, axis=1, width=scores.width)


def logistic(g: Graph, scores: Value) -> Value:
    """Each score's expit; a binary classifier's as two columns, others as they are."""
    if scores.width:
        return g.op("Sigmoid", scores, width=scores.width)
    return pair(g, g.op("Sigmoid", column(g, scores), width=1))


def shares(g: Graph, values: Value) -> Value:
    """Each row divided by its sum; where that is 0, all classes alike."""
    sums = total(g, values)
    empty = apply(g, "Equal", sums, 0.0)
    return where(g, empty, np.full(values.width, 1.0 / values.width), div(g, values, where(g, empty, 1.0, sums)))


def chosen_by(g: Graph, probabilities: Value) -> Outputs:
    """The outputs of a classifier whose label is that of its largest probability."""
    return {"prediction": first_largest(g, probabilities), "probabilities": probabilities}


def normal_likelihoods(g: Graph, log_likelihoods: Value) -> Outputs:
    """The outputs of a classifier that compares joint log-likelihoods (rows, classes)."""
    largest = g.op("ReduceMax", log_likelihoods, g.const([1], np.int64), width=1, keepdims=1)
    return {
        "prediction": first_largest(g, log_likelihoods),
        "probabilities": softmax(g, sub(g, log_likelihoods, largest)),
    }


def response(model: Any, outputs: Outputs, methods: Sequence[str], g: Graph) -> tuple[Value, str]:
    """What the first of scikit-learn's `methods` that the model has would answer, and which one that was."""
    named = {"decision_function": "scores", "predict_proba": "probabilities"}
    for method in methods:
        if method == "predict":
            return class_numbers(model, outputs, g), method
        if hasattr(model, method):
            if named[method] not in outputs:
                raise LoweringError(f"the lowering of {type(model).__name__} has no {method}")
            return outputs[named[method]], method
    raise LoweringError(f"{type(model).__name__} has none of {', '.join(methods)}")


def class_numbers(model: Any, outputs: Outputs, g: Graph) -> Value:
    """What `predict` answers as numbers: a regressor's own, a classifier's classes if they are numbers."""
    prediction = outputs["prediction"]
    classes = getattr(model, "classes_", None)
    if classes is None:
        return prediction
    table = np.asarray(classes)
    if table.dtype.kind not in "iufb" or table.ndim != 1:
        raise LoweringError(f"the labels of {type(model).__name__} are used as numbers and are none")
    return g.op("Gather", g.const(table.astype(np.float64)), prediction, width=prediction.width)


def binary_response(model: Any, outputs: Outputs, g: Graph) -> Value:
    """One number a row for "how positive", as one-vs-rest and its kin ask for it, (rows, 1)."""
    if "scores" in outputs and hasattr(model, "decision_function"):
        return column(g, outputs["scores"])
    if hasattr(model, "decision_function"):
        raise LoweringError(f"the lowering of {type(model).__name__} has no decision_function")
    if "probabilities" in outputs:
        return g.columns(outputs["probabilities"], [1])
    return column(g, outputs["prediction"])


def scaled(g: Graph, value: Value, factor: float) -> Value:
    return value if factor == 1.0 else mul(g, value, factor)
