"""Transformers that make several columns of one: bins, powers, splines, quantiles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from salver.errors import LoweringError
from salver.lower.arithmetic import add, apply, div, interpolate, mul, number, same_for_all, sub, total, where
from salver.lower.converters import transformer
from salver.lower.estimators.normal import inverse_normal
from salver.lower.estimators.scalers import clipped
from salver.lower.graph import Graph, Value
from salver.lower.rows import Landmarks, landmarks_of


@transformer("sklearn", "KBinsDiscretizer", numbers=True)
def bins(model: Any, x: Value, g: Graph) -> Value:
    made: list[Value] = []
    for i, edges in enumerate(model.bin_edges_):
        inner = np.asarray(edges, dtype=np.float64)[1:-1]
        one = g.columns(x, [i])
        reached = number(g, apply(g, "GreaterOrEqual", one, inner)) if len(inner) else same_for_all(g, x, [0.0])
        place = total(g, reached)
        if model.encode != "ordinal":
            count = int(model.n_bins_[i])
            place = number(g, g.op("Equal", place, g.const(np.arange(count, dtype=np.float64)), width=count))
        made.append(place)
    return g.concat(made)


@landmarks_of("sklearn", "KBinsDiscretizer")
def bins_landmarks(model: Any, landmarks: Landmarks) -> None:
    for i, edges in enumerate(model.bin_edges_):
        landmarks.add(i, edges)


@transformer("sklearn", "PolynomialFeatures", numbers=True)
def polynomial(model: Any, x: Value, g: Graph) -> Value:
    """Each output is a product of columns, the bias one of none: gathered factor by factor, padded by a column of ones."""
    ones = same_for_all(g, x, [1.0])
    padded = g.concat([x, ones])
    factors = [[i for i, power in enumerate(row) for _ in range(int(power))] for row in model.powers_]
    degree = max(1, max(len(row) for row in factors))
    table = [row + [x.width] * (degree - len(row)) for row in factors]
    # The last factor first, as scikit-learn multiplies a new one in front of a finished product.
    made = g.columns(padded, [row[-1] for row in table])
    for k in reversed(range(degree - 1)):
        made = mul(g, made, g.columns(padded, [row[k] for row in table]))
    return made


@transformer("sklearn", "SplineTransformer", numbers=True)
def splines(model: Any, x: Value, g: Graph) -> Value:
    if model.degree == 0:
        raise LoweringError("SplineTransformer of degree 0")
    parts: list[Value] = []
    for i, spline in enumerate(model.bsplines_):
        made = _spline(model, spline, g.columns(x, [i]), g)
        parts.append(made if model.include_bias else g.columns(made, range(made.width - 1)))
    return g.concat(parts)


def _spline(model: Any, spline: Any, x: Value, g: Graph) -> Value:
    """The basis functions of one column, as the polynomial of the interval that x falls into."""
    starts, coefficients = _pieces(spline, model.degree, model.extrapolation)
    missing = g.op("IsNaN", x, width=1)
    t, degree = spline.t, model.degree
    low, high = float(t[degree]), float(t[-degree - 1])
    x = where(g, missing, low, x)
    if model.extrapolation == "periodic":
        n = len(t) - spline.k - 1
        low, period = float(t[spline.k]), float(t[n] - t[spline.k])
        past = sub(g, x, low)
        x = add(g, sub(g, past, mul(g, apply(g, "Floor", div(g, past, period)), period)), low)
    elif model.extrapolation == "constant":
        x = clipped(g, x, low, high)
    reached = total(g, number(g, apply(g, "GreaterOrEqual", x, starts[1:])))
    index = g.flat(g.cast(reached, np.int64))
    step = sub(g, x, g.op("Reshape", g.op("Gather", g.const(starts), index), g.const([-1, 1], np.int64), width=1))
    width = coefficients.shape[2]
    made = g.op("Gather", g.const(coefficients[0]), index, width=width)
    for row in coefficients[1:]:
        made = add(g, mul(g, made, step), g.op("Gather", g.const(row), index, width=width))
    return where(g, missing, 0.0, made)


def _pieces(spline: Any, degree: int, extrapolation: str) -> tuple[Any, Any]:
    """Where each piece starts, and its coefficients (powers from the highest, pieces, functions)."""
    starts = np.asarray(spline.t[degree : len(spline.t) - degree - 1], dtype=np.float64)
    # Taylor's: at a knot scipy takes the derivatives of the piece to its right.
    coefficients = np.stack([spline(starts, nu=k) / math.factorial(k) for k in reversed(range(degree + 1))])
    if extrapolation != "linear":
        return starts, coefficients
    ends = (float(spline.t[degree]), float(spline.t[-degree - 1]))
    outer = np.zeros((coefficients.shape[0], 2, coefficients.shape[2]))
    touched = max(degree, 2) if degree <= 1 else degree
    width = coefficients.shape[2]
    for k, (end, columns) in enumerate(zip(ends, (slice(0, touched), slice(width - touched, width)), strict=True)):
        outer[-1, k, columns] = spline(end)[columns]
        outer[-2, k, columns] = spline(end, nu=1)[columns]
    # Below the first knot the line starts there too, so it needs a start that is reached by everything.
    just_above = np.nextafter(ends[1], np.inf)
    made = np.concatenate([outer[:, :1], coefficients, outer[:, 1:]], axis=1)
    return np.concatenate([[ends[0]], starts, [just_above]]), made


@landmarks_of("sklearn", "SplineTransformer")
def spline_landmarks(model: Any, landmarks: Landmarks) -> None:
    for i, spline in enumerate(model.bsplines_):
        knots = spline.t[model.degree : len(spline.t) - model.degree]
        landmarks.add(i, knots)
        if model.extrapolation == "error":
            landmarks.limit(i, float(knots[0]), float(knots[-1]))


@transformer("sklearn", "QuantileTransformer", numbers=True)
def quantiles(model: Any, x: Value, g: Graph) -> Value:
    return g.concat([_quantile(model, i, g.columns(x, [i]), g) for i in range(x.width)])


def _quantile(model: Any, i: int, x: Value, g: Graph) -> Value:
    known, references = model.quantiles_[:, i], model.references_
    up = interpolate(g, x, known, references)
    down = interpolate(g, apply(g, "Neg", x), -known[::-1], -references[::-1])
    made = mul(g, sub(g, up, down), 0.5)
    low, high = float(known[0]), float(known[-1])
    if model.output_distribution == "normal":
        slack = 1e-7  # BOUNDS_THRESHOLD of scikit-learn
        at_low = apply(g, "Less", sub(g, x, slack), low)
        at_high = apply(g, "Greater", add(g, x, slack), high)
    else:
        at_low, at_high = apply(g, "Equal", x, low), apply(g, "Equal", x, high)
    made = where(g, at_low, 0.0, where(g, at_high, 1.0, made))
    missing = g.op("IsNaN", x, width=1)
    if model.output_distribution == "normal":
        made = inverse_normal(g, made)
    return where(g, missing, np.nan, made)


@landmarks_of("sklearn", "QuantileTransformer")
def quantile_landmarks(model: Any, landmarks: Landmarks) -> None:
    for i in range(model.quantiles_.shape[1]):
        landmarks.add(i, model.quantiles_[:, i])
