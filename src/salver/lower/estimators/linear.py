"""Linear models: a matrix product and a link."""

from __future__ import annotations

from typing import Any

import numpy as np

from salver.lower.converters import Outputs, predictor
from salver.lower.graph import Graph, Value


@predictor("sklearn", "LogisticRegression")
def logistic(model: Any, x: Value, g: Graph) -> Outputs:
    raw = g.op("Add", g.op("MatMul", x, g.const(model.coef_.T)), g.const(model.intercept_), width=len(model.intercept_))
    if len(model.classes_) == 2:
        positive = g.op("Sigmoid", raw)
        probabilities = g.op("Concat", g.op("Sub", g.const(np.ones(1)), positive), positive, axis=1, width=2)
        label = g.cast(g.flat(g.op("Greater", raw, g.const(np.zeros(1)))), np.int64)
    else:
        probabilities = g.op("Softmax", raw, axis=1, width=raw.width)
        label = g.op("ArgMax", raw, axis=1, keepdims=0)
    return {"prediction": label, "probabilities": probabilities}
