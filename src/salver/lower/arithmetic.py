"""Short names for the arithmetic that converters write. Operands are values of the graph or constants.

A row vector of constants stands for one number a column, as in numpy. Functions that have no operator in ONNX are written so
that they keep double precision where the plain formula loses it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from salver.lower.graph import Graph, Value

Operand = Value | ArrayLike


def apply(g: Graph, kind: str, *operands: Operand) -> Value:
    """An operator that works number by number, with numpy's rules for operands of different shapes."""
    matrix = any(isinstance(o, Value) and o.width for o in operands)
    widths = [o.width if isinstance(o, Value) else (np.shape(o) or (1,))[-1] for o in operands]
    return g.op(kind, *(_value(g, o) for o in operands), width=max(widths) if matrix else 0)


def _value(g: Graph, operand: Operand) -> Value:
    return operand if isinstance(operand, Value) else g.const(np.asarray(operand, dtype=np.float64))


def add(g: Graph, a: Operand, b: Operand) -> Value:
    return apply(g, "Add", a, b)


def sub(g: Graph, a: Operand, b: Operand) -> Value:
    return apply(g, "Sub", a, b)


def mul(g: Graph, a: Operand, b: Operand) -> Value:
    return apply(g, "Mul", a, b)


def div(g: Graph, a: Operand, b: Operand) -> Value:
    return apply(g, "Div", a, b)


def where(g: Graph, condition: Value | Any, a: Operand, b: Operand) -> Value:
    """`a` where `condition` (a boolean value or array) holds, else `b`."""
    chosen = condition if isinstance(condition, Value) else g.const(np.asarray(condition, dtype=np.bool_))
    return apply(g, "Where", chosen, a, b)


def matmul(g: Graph, x: Value, matrix: Any) -> Value:
    """(rows, k) times a constant (k, m)."""
    made = dense(matrix)
    return g.op("MatMul", x, g.const(made), width=made.shape[1])


def affine(g: Graph, x: Value, matrix: Any, offset: Any) -> Value:
    """x @ matrix + offset."""
    return add(g, matmul(g, x, matrix), np.broadcast_to(np.ravel(offset), (np.shape(matrix)[1],)))


def dense(matrix: Any) -> Any:
    """A float64 array of a matrix that may be sparse."""
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dtype=np.float64)


def reduce(g: Graph, kind: str, x: Value) -> Value:
    """ReduceSum, ReduceMax, … along each row: (rows, k) → (rows, 1)."""
    return g.op(kind, x, g.const([1], np.int64), width=1, keepdims=1)


def total(g: Graph, x: Value) -> Value:
    """The sum of each row, (rows, 1)."""
    return reduce(g, "ReduceSum", x)


def number(g: Graph, value: Value) -> Value:
    """Booleans or integers as float64."""
    return g.cast(value, np.float64)


def first_largest(g: Graph, x: Value) -> Value:
    """The column of each row's largest number, the first among equals, (rows,) int64: numpy's argmax."""
    return g.op("ArgMax", x, axis=1, keepdims=0)


def above(g: Graph, x: Value, threshold: float) -> Value:
    """1 where x > threshold, else 0, int64, of x's shape."""
    return g.cast(apply(g, "Greater", x, threshold), np.int64)


def column(g: Graph, flat: Value) -> Value:
    """(rows,) → (rows, 1); a matrix stays what it is."""
    if flat.width:
        return flat
    return g.op("Reshape", flat, g.const([-1, 1], np.int64), width=1)


def one_hot(g: Graph, index: Value, count: int) -> Value:
    """int64 (rows,) → float64 (rows, count), 1 at the index."""
    places = g.const(np.arange(count), np.int64)
    return number(g, g.op("Equal", column(g, index), places, width=count))


def pair(g: Graph, positive: Value) -> Value:
    """A positive class's probability (rows, 1) → both, (rows, 2)."""
    return g.concat([sub(g, 1.0, positive), positive])


def summed(g: Graph, parts: list[Value]) -> Value:
    """The sum of several values, in order, as numpy's `+=` over a list."""
    made = parts[0]
    for part in parts[1:]:
        made = add(g, made, part)
    return made


def log1p(g: Graph, x: Value) -> Value:
    """log(1 + x) without losing small x (W. Kahan: log(u)·x/(u - 1), u = 1 + x)."""
    u = add(g, x, 1.0)
    exact = apply(g, "Equal", u, 1.0)
    scaled = div(g, mul(g, apply(g, "Log", u), x), sub(g, u, 1.0))
    infinite = apply(g, "Equal", u, np.inf)
    return where(g, exact, x, where(g, infinite, u, scaled))


def expm1(g: Graph, x: Value) -> Value:
    """exp(x) - 1 without losing small x (W. Kahan: (u - 1)·x/log(u), u = exp(x))."""
    u = apply(g, "Exp", x)
    less = sub(g, u, 1.0)
    exact = apply(g, "Equal", u, 1.0)
    # Beyond ±37 the plain difference is exact, and log(u) may be infinite.
    far = apply(g, "Greater", apply(g, "Abs", x), 37.0)
    return where(g, exact, x, where(g, far, less, div(g, mul(g, less, x), apply(g, "Log", u))))


def expit(g: Graph, x: Value) -> Value:
    """1 / (1 + exp(-x)) as scipy has it: the operator Sigmoid is less exact where the result is near 0."""
    return div(g, 1.0, add(g, apply(g, "Exp", apply(g, "Neg", x)), 1.0))


def same_for_all(g: Graph, x: Value, row: Any) -> Value:
    """The constant row (k,) for each of x's rows, whatever they hold: (rows, k)."""
    made = np.asarray(row, dtype=np.float64).reshape(1, -1)
    rows = g.op("Shape", x, start=0, end=1)
    shape = g.op("Concat", rows, g.const([made.shape[1]], np.int64), axis=0)
    return g.op("Expand", g.const(made), shape, width=made.shape[1])


def squared_distances(g: Graph, x: Value, points: Any) -> Value:
    """|x - p|² to each of the constant points (n, k): (rows, n), about as exact as the expanded formula can be."""
    made = dense(points)
    # The expanded formula loses what the numbers have in common, so that goes first.
    centre = made.mean(axis=0)
    made, x = made - centre, sub(g, x, centre)
    crossed = matmul(g, x, -2.0 * made.T)
    distances = add(g, add(g, crossed, total(g, mul(g, x, x))), (made * made).sum(axis=1))
    return apply(g, "Max", distances, 0.0)


def nearest(g: Graph, x: Value, points: Any) -> Value:
    """The index of the nearest of the constant points, the first among equals, (rows,) int64."""
    made = dense(points)
    scores = add(g, matmul(g, x, -2.0 * made.T), (made * made).sum(axis=1))
    return g.op("ArgMin", scores, axis=1, keepdims=0)


def interpolate(g: Graph, x: Value, xs: Any, ys: Any) -> Value:
    """Piecewise linear through (xs, ys), constant beyond them, for one column (rows, 1): numpy's interp."""
    xs, ys = np.asarray(xs, dtype=np.float64), np.asarray(ys, dtype=np.float64)
    if len(xs) == 1:
        return same_for_all(g, x, ys)
    reached = g.cast(apply(g, "GreaterOrEqual", x, xs), np.int64)
    count = g.op("ReduceSum", reached, g.const([1], np.int64), keepdims=1, width=1)
    last = len(xs) - 2
    index = g.op(
        "Min", g.op("Max", g.op("Sub", count, g.const(1, np.int64)), g.const(0, np.int64)), g.const(last, np.int64), width=1
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = np.where(np.diff(xs) > 0, np.diff(ys) / np.diff(xs), 0.0)
    start, base, slope = (g.op("Gather", g.const(table), index, width=1) for table in (xs[:-1], ys[:-1], slopes))
    inside = add(g, mul(g, slope, sub(g, x, start)), base)
    below, beyond = apply(g, "Less", x, xs[0]), apply(g, "GreaterOrEqual", x, xs[-1])
    return where(g, below, ys[0], where(g, beyond, ys[-1], inside))
