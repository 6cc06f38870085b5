"""The table from a trained estimator's class to the function that writes it as a graph.

A converter is registered by the library's name and the class's, so that nothing is imported to look one up:

    @transformer("sklearn", "StandardScaler")
    def standard_scaler(model, x, graph): return the transformed Value

    @predictor("sklearn", "LogisticRegression")
    def logistic(model, x, graph): return {"prediction": …, "probabilities": …}

A predictor returns `prediction` (int64 class indices (rows,) for a classifier, float64 numbers for a regressor) and, exactly
when the estimator has them, `probabilities` ((rows, classes) float64) or else `scores` (its decision_function). What a
converter cannot write it refuses with LoweringError and the reason; whatever it writes is proven afterwards, so it may stay
simple. It works in the precision in which the library itself compares and sums.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from salver.errors import LoweringError
from salver.lower.graph import Graph, Value

Outputs = dict[str, Value]
Transformer = Callable[[Any, Value, Graph], Value]
Predictor = Callable[[Any, Value, Graph], Outputs]

_transformers: dict[tuple[str, str], Transformer] = {}
_predictors: dict[tuple[str, str], Predictor] = {}
_of_numbers: set[tuple[str, str]] = set()


def transformer(library: str, *classes: str, numbers: bool = False) -> Callable[[Transformer], Transformer]:
    """Register the converter of these transformer classes. With `numbers`, it is never given codes of categories."""

    def register(function: Transformer) -> Transformer:
        keys = [(library, name) for name in classes]
        _transformers.update(dict.fromkeys(keys, function))
        if numbers:
            _of_numbers.update(keys)
        return function

    return register


def predictor(library: str, *classes: str, numbers: bool = False) -> Callable[[Predictor], Predictor]:
    """Register the converter of these predictor classes. With `numbers`, it is never given codes of categories."""

    def register(function: Predictor) -> Predictor:
        keys = [(library, name) for name in classes]
        _predictors.update(dict.fromkeys(keys, function))
        if numbers:
            _of_numbers.update(keys)
        return function

    return register


def _key(model: Any) -> tuple[str, str]:
    # Exactly this class: a subclass may override predict.
    return type(model).__module__.partition(".")[0], type(model).__name__


def transform(model: Any, x: Value, graph: Graph) -> Value:
    """Write a fitted transformer. Raises LoweringError when there is no converter for it."""
    try:
        convert = _transformers[_key(model)]
    except KeyError:
        raise LoweringError(f"no lowering for {'.'.join(_key(model))} as a transformer") from None
    return convert(model, graph.numbers(x) if _key(model) in _of_numbers else x, graph)


def predict(model: Any, x: Value, graph: Graph) -> Outputs:
    """Write a fitted predictor. Raises LoweringError when there is no converter for it."""
    try:
        convert = _predictors[_key(model)]
    except KeyError:
        raise LoweringError(f"no lowering for {'.'.join(_key(model))}") from None
    return convert(model, graph.numbers(x) if _key(model) in _of_numbers else x, graph)
