"""Transformers that treat each number by itself: scalers and functions. With those that scale a row by its own norm."""

from __future__ import annotations

from typing import Any

import numpy as np

from salver.errors import LoweringError
from salver.lower.arithmetic import add, apply, div, expm1, log1p, mul, number, reduce, sub, total, where
from salver.lower.converters import transformer
from salver.lower.graph import Graph, Value
from salver.lower.rows import Landmarks, landmarks_of

_OPERATORS = {
    "log": "Log",
    "exp": "Exp",
    "sqrt": "Sqrt",
    "abs": "Abs",
    "absolute": "Abs",
    "fabs": "Abs",
    "negative": "Neg",
    "sin": "Sin",
    "cos": "Cos",
    "tanh": "Tanh",
    "reciprocal": "Reciprocal",
    "sign": "Sign",
    "floor": "Floor",
    "ceil": "Ceil",
}
_LOWEST = {"log": 5e-324, "log2": 5e-324, "log10": 5e-324, "log1p": -1 + 1e-16, "sqrt": 0.0}
_HIGHEST = {"exp": 300.0, "expm1": 300.0, "square": 1e100}


@transformer("sklearn", "StandardScaler", numbers=True)
def standard(model: Any, x: Value, g: Graph) -> Value:
    x = sub(g, x, model.mean_) if model.with_mean else x
    return div(g, x, model.scale_) if model.with_std else x


@transformer("sklearn", "RobustScaler", numbers=True)
def robust(model: Any, x: Value, g: Graph) -> Value:
    x = sub(g, x, model.center_) if model.with_centering else x
    return div(g, x, model.scale_) if model.with_scaling else x


@transformer("sklearn", "MinMaxScaler", numbers=True)
def ranged(model: Any, x: Value, g: Graph) -> Value:
    x = add(g, mul(g, x, model.scale_), model.min_)
    return clipped(g, x, *model.feature_range) if model.clip else x


@transformer("sklearn", "MaxAbsScaler", numbers=True)
def by_largest(model: Any, x: Value, g: Graph) -> Value:
    x = div(g, x, model.scale_)
    return clipped(g, x, -1.0, 1.0) if getattr(model, "clip", False) else x


def clipped(g: Graph, x: Value, low: float, high: float) -> Value:
    """Between low and high; NaN stays NaN."""
    x = where(g, apply(g, "Less", x, low), low, x)
    return where(g, apply(g, "Greater", x, high), high, x)


@transformer("sklearn", "Normalizer", numbers=True)
def normalizer(model: Any, x: Value, g: Graph) -> Value:
    if model.norm == "l2":
        norm = apply(g, "Sqrt", total(g, mul(g, x, x)))
    else:
        size = apply(g, "Abs", x)
        norm = total(g, size) if model.norm == "l1" else reduce(g, "ReduceMax", size)
    tiny = apply(g, "Less", norm, 10 * np.finfo(np.float64).eps)
    return div(g, x, where(g, tiny, 1.0, norm))


@transformer("sklearn", "Binarizer", numbers=True)
def binarizer(model: Any, x: Value, g: Graph) -> Value:
    return number(g, apply(g, "Greater", x, model.threshold))


@transformer("sklearn", "FunctionTransformer", numbers=True)
def function(model: Any, x: Value, g: Graph) -> Value:
    if model.kw_args:
        raise LoweringError("FunctionTransformer with arguments of its own")
    return known_function(model.func, x, g)


def known_function(function: Any, x: Value, g: Graph) -> Value:
    """A numpy function by its name; raises LoweringError for code we can't read."""
    if function is None:
        return x
    name = getattr(function, "__name__", type(function).__name__)
    if getattr(np, name, None) is not function:
        raise LoweringError(f"FunctionTransformer runs code of its own, {name}")
    if name in _OPERATORS:
        return apply(g, _OPERATORS[name], x)
    if name == "log1p":
        return log1p(g, x)
    if name == "expm1":
        return expm1(g, x)
    if name == "square":
        return mul(g, x, x)
    if name in ("log2", "log10"):
        return div(g, apply(g, "Log", x), np.log(2.0 if name == "log2" else 10.0))
    raise LoweringError(f"no lowering for numpy.{name}")


@transformer("sklearn", "PowerTransformer", numbers=True)
def power(model: Any, x: Value, g: Graph) -> Value:
    exponents = np.asarray(model.lambdas_, dtype=np.float64)
    made = _box_cox(exponents, x, g) if model.method == "box-cox" else _yeo_johnson(exponents, x, g)
    return standard(model._scaler, made, g) if model.standardize else made


def _power(g: Graph, log: Value, exponents: Any) -> Value:
    """(exp(λ·log) - 1) / λ, which is log where λ is 0."""
    zero = np.abs(exponents) < np.finfo(np.float64).eps
    safe = np.where(zero, 1.0, exponents)
    curved = div(g, expm1(g, mul(g, log, safe)), safe)
    return where(g, np.broadcast_to(zero, safe.shape), log, curved) if zero.any() else curved


def _box_cox(exponents: Any, x: Value, g: Graph) -> Value:
    return _power(g, apply(g, "Log", x), exponents)


def _yeo_johnson(exponents: Any, x: Value, g: Graph) -> Value:
    """I.-K. Yeo and R. A. Johnson (2000): Box-Cox of x + 1 above 0, of 1 - x with 2 - λ, mirrored, below."""
    size = apply(g, "Abs", x)
    log = log1p(g, size)
    below = apply(g, "Neg", _power(g, log, 2.0 - exponents))
    return where(g, apply(g, "Less", x, 0.0), below, _power(g, log, exponents))


def inverse(model: Any, x: Value, g: Graph) -> Value:
    """What the transformer's `inverse_transform` does. Raises LoweringError where that is not known."""
    kind = type(model).__name__
    if kind == "FunctionTransformer" and not model.inv_kw_args:
        return known_function(model.inverse_func, x, g)
    if kind == "StandardScaler":
        x = mul(g, x, model.scale_) if model.with_std else x
        return add(g, x, model.mean_) if model.with_mean else x
    if kind == "RobustScaler":
        x = mul(g, x, model.scale_) if model.with_scaling else x
        return add(g, x, model.center_) if model.with_centering else x
    if kind == "MinMaxScaler" and not model.clip:
        return div(g, sub(g, x, model.min_), model.scale_)
    if kind == "MaxAbsScaler":
        return mul(g, x, model.scale_)
    raise LoweringError(f"no lowering for the inverse of {kind}")


@landmarks_of("sklearn", "StandardScaler")
def standard_landmarks(model: Any, landmarks: Landmarks) -> None:
    if model.mean_ is not None:
        _around(landmarks, model.mean_, 1.0 if model.scale_ is None else model.scale_)


@landmarks_of("sklearn", "RobustScaler")
def robust_landmarks(model: Any, landmarks: Landmarks) -> None:
    if model.center_ is not None:
        _around(landmarks, model.center_, 1.0 if model.scale_ is None else model.scale_)


@landmarks_of("sklearn", "MinMaxScaler")
def ranged_landmarks(model: Any, landmarks: Landmarks) -> None:
    for i, ends in enumerate(zip(model.data_min_, model.data_max_, strict=True)):
        landmarks.add(i, ends)


@landmarks_of("sklearn", "MaxAbsScaler")
def largest_landmarks(model: Any, landmarks: Landmarks) -> None:
    for i, largest in enumerate(model.max_abs_):
        landmarks.add(i, [-largest, largest])


@landmarks_of("sklearn", "Binarizer")
def binarizer_landmarks(model: Any, landmarks: Landmarks) -> None:
    for i in range(len(landmarks.values)):
        landmarks.add(i, [model.threshold - 1.0, model.threshold, model.threshold + 1.0])


@landmarks_of("sklearn", "FunctionTransformer")
def function_landmarks(model: Any, landmarks: Landmarks) -> None:
    name = getattr(model.func, "__name__", "")
    for i in range(len(landmarks.values)):
        landmarks.limit(i, _LOWEST.get(name), _HIGHEST.get(name))


@landmarks_of("sklearn", "PowerTransformer")
def power_landmarks(model: Any, landmarks: Landmarks) -> None:
    for i in range(len(landmarks.values)):
        positive = model.method == "box-cox"
        landmarks.add(i, [0.1, 1.0, 10.0] if positive else [-2.0, 0.0, 2.0])
        landmarks.limit(i, 1e-300 if positive else None, None)


def _around(landmarks: Landmarks, centres: Any, scales: Any) -> None:
    scales = np.broadcast_to(scales, np.shape(centres))
    for i, (centre, scale) in enumerate(zip(centres, scales, strict=True)):
        landmarks.add(i, centre + scale * np.array([-3.0, -1.0, 0.0, 1.0, 3.0]))
