"""Rows to prove a lowering on, made from the model itself when nobody gives any.

A model is told apart from a bad copy at its thresholds, so those come first: each split of each tree and its neighbours one
ulp away in float64 and in float32; then whole rows the model remembers (support vectors, neighbours, centres); then random
rows over the region those span, far beyond it, and missing, infinite and unseen values wherever the signature takes them.
Always the same rows for the same model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from math import prod
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from salver.types.checks import FLOAT32_MAX
from salver.types.signature import Column, Columns, Signature

ROWS = 10_000
_VALUES = 8_000_000  # numbers in all rows together: a model of images is asked fewer
_OPEN_SIZE = 3  # of a dimension that the signature leaves open, where no example says more
_POOL = 4_000  # landmark values kept a column
SEED = 20_240_229


class Landmarks:
    """Where a model's behaviour changes.

    `values[i]` are interesting numbers of column i (thresholds, means); `rows` are whole rows, (any, columns) of numbers.
    `stepwise` says that the model only compares its inputs (trees), so that numbers of any size are fair. `low` and `high`
    hold the ends of the columns outside of which the original refuses to answer (a logarithm's 0). `shapes` has the shape of
    an example's value for columns that are tensors.
    """

    def __init__(self, width: int) -> None:
        self.values: list[list[float]] = [[] for _ in range(width)]
        self.rows: list[NDArray[np.float64]] = []
        self.stepwise = False
        self.low: dict[int, float] = {}
        self.high: dict[int, float] = {}
        self.shapes: dict[int, tuple[int, ...]] = {}

    def limit(self, column: int, low: float | None, high: float | None) -> None:
        """Note that the original answers only between `low` and `high` of this column, both included."""
        if low is not None:
            self.low[column] = max(low, self.low.get(column, low))
        if high is not None:
            self.high[column] = min(high, self.high.get(column, high))

    def add(self, column: int, values: Any) -> None:
        """Note numbers of one column; those that are not finite are left out."""
        numbers = np.asarray(values, dtype=np.float64).ravel()
        self.values[column].extend(numbers[np.isfinite(numbers)].tolist())

    def add_rows(self, rows: Any) -> None:
        """Note whole rows."""
        made = np.asarray(rows, dtype=np.float64)
        if made.ndim == 2 and len(made) and made.shape[1] == len(self.values):
            self.rows.append(made[:_POOL])

    def shape_of(self, i: int, column: Column) -> tuple[int, ...]:
        """The shape of the values to be made for column i."""
        return self.shapes.get(i) or tuple(_OPEN_SIZE if size < 0 else size for size in column.shape)


Finder = Callable[[Any, Landmarks], None]
_finders: dict[tuple[str, str], Finder] = {}


def landmarks_of(library: str, *classes: str) -> Callable[[Finder], Finder]:
    """Register the function that notes the landmarks of these classes, as converters are registered."""

    def register(function: Finder) -> Finder:
        _finders.update(dict.fromkeys(((library, name) for name in classes), function))
        return function

    return register


def find_landmarks(model: Any, landmarks: Landmarks) -> None:
    """Note the landmarks of `model`, if a finder is registered for its class; composite models ask for their parts."""
    import_module("salver.lower.estimators")  # registers the finders
    find = _finders.get((type(model).__module__.partition(".")[0], type(model).__name__))
    if find:
        find(model, landmarks)


def proof_rows(model: Any, signature: Signature, count: int = ROWS, seed: int = SEED) -> Columns:
    """`count` rows of arrays by column that fit `signature` (as it would let them through), for a tabular model."""
    rng = np.random.default_rng(seed)
    landmarks = Landmarks(len(signature.columns))
    find_landmarks(model, landmarks)
    shapes = [landmarks.shape_of(i, column) for i, column in enumerate(signature.columns)]
    count = min(count, max(2, _VALUES // max(1, sum(prod(shape) for shape in shapes))))
    remembered = _remembered(landmarks, rng, count // 4)
    made = {
        column.name: _column(column, landmarks.values[i], [rows[:, i] for rows in remembered], landmarks.stepwise, count, rng)
        if not column.shape
        else _tensor(column, shapes[i], landmarks.values[i], count, rng)
        for i, column in enumerate(signature.columns)
    }
    for i, column in enumerate(signature.columns):
        if column.is_number and (i in landmarks.low or i in landmarks.high):
            clipped = np.clip(made[column.name], landmarks.low.get(i), landmarks.high.get(i))
            made[column.name] = clipped.astype(made[column.name].dtype)
    return made


def _remembered(landmarks: Landmarks, rng: np.random.Generator, count: int) -> list[NDArray[np.float64]]:
    if not landmarks.rows:
        return []
    rows = np.concatenate(landmarks.rows)
    return [rows[rng.permutation(len(rows))[:count]]]


def _column(
    column: Column,
    values: Sequence[float],
    remembered: list[NDArray[np.float64]],
    stepwise: bool,
    count: int,
    rng: np.random.Generator,
) -> NDArray[Any]:
    if column.dtype == "category":
        return _categories(column, count, rng)
    if column.dtype == "string":
        return _strings(column, count, rng)
    if column.dtype == "bool":
        switches = rng.integers(0, 2, count).astype(np.float64 if column.nullable else bool)
        if column.nullable:
            _replace(switches, 0.08, np.full(count, np.nan), rng)
        return switches
    pool = _pool(values, rng)
    whole = column.dtype.startswith(("int", "uint"))
    made = _numbers(pool, count, rng)
    if remembered:
        # Kept together at the head, so that whole rows stay whole; half of them a little off.
        rows = remembered[0]
        made[: len(rows)] = rows
        nudged = np.arange(len(rows)) % 2 == 1
        spread = float(np.std(rows)) or 1.0
        made[: len(rows)][nudged] += rng.normal(0, 0.1 * spread, int(nudged.sum()))
    head = len(remembered[0]) if remembered else 0
    _sprinkle(made[head:], column, pool, stepwise and not whole, rng)
    if whole:
        info = np.iinfo(column.dtype)
        return np.clip(np.rint(np.nan_to_num(made)), max(info.min, -(2**53)), min(info.max, 2**53)).astype(column.dtype)
    return made


def _tensor(
    column: Column, shape: tuple[int, ...], values: Sequence[float], count: int, rng: np.random.Generator
) -> NDArray[Any]:
    one = msgspec.structs.replace(column, shape=())
    made = _column(one, values, [], False, count * prod(shape), rng).reshape(count, *shape)
    return made.astype(column.dtype) if column.is_number else made


def _pool(values: Sequence[float], rng: np.random.Generator) -> NDArray[np.float64]:
    pool = np.unique(np.asarray(values, dtype=np.float64))
    if len(pool) > _POOL:
        pool = rng.choice(pool, _POOL, replace=False)
    return pool


def _numbers(pool: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    if not len(pool):
        return rng.normal(0, rng.choice([0.3, 1.0, 3.0, 10.0], count))
    low, high = float(pool.min()), float(pool.max())
    span = (high - low) or max(1.0, abs(low))
    made = rng.uniform(low - 0.2 * span, high + 0.2 * span, count)
    at = rng.random(count) < 0.5
    made[at] = (
        _neighbours(pool, rng)[: int(at.sum())]
        if len(pool) * 6 >= at.sum()
        else rng.choice(_neighbours(pool, rng), int(at.sum()))
    )
    return made


def _neighbours(pool: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Each value, and the numbers next to it in float64 and in float32, shuffled."""
    clipped = np.clip(pool, -FLOAT32_MAX, FLOAT32_MAX)
    single = clipped.astype(np.float32)
    beside = [pool, np.nextafter(pool, -np.inf), np.nextafter(pool, np.inf), single.astype(np.float64)]
    beside += [np.nextafter(single, np.float32(side)).astype(np.float64) for side in (-FLOAT32_MAX, FLOAT32_MAX)]
    return rng.permutation(np.concatenate(beside))


def _sprinkle(
    made: NDArray[np.float64], column: Column, pool: NDArray[np.float64], stepwise: bool, rng: np.random.Generator
) -> None:
    """Extremes, and missing and infinite values where they are legal, in place."""
    span = float(np.ptp(pool)) if len(pool) > 1 else 1.0
    far = [0.0, -0.0, -10 * span, 10 * span, -1e3 * span, 1e3 * span]
    if stepwise:
        far += [-1e30, 1e30, 5e-324, float(np.finfo(np.float32).tiny)]
    _replace(made, 0.02, rng.choice(np.asarray(far), len(made)), rng)
    if column.nullable:
        _replace(made, 0.08, np.full(len(made), np.nan), rng)
    if column.infinite:
        _replace(made, 0.02, rng.choice([-np.inf, np.inf], len(made)), rng)


def _replace(made: NDArray[Any], share: float, values: NDArray[Any], rng: np.random.Generator) -> None:
    at = rng.random(len(made)) < share
    made[at] = values[at]


def _categories(column: Column, count: int, rng: np.random.Generator) -> NDArray[Any]:
    known = column.categories or ()
    made = np.empty(count, dtype=object)
    made[:] = [known[i] for i in rng.integers(0, len(known), count)] if known else None
    if column.unseen:
        kinds = {type(category) for category in known}
        strange: list[Any] = ["a category never seen", ""] if not kinds or str in kinds else [-987_654_321, 987_654_321]
        _replace(made, 0.05, np.array([strange[i] for i in rng.integers(0, len(strange), count)], dtype=object), rng)
    if column.nullable:
        _replace(made, 0.08, np.full(count, None, dtype=object), rng)
    return made


def _strings(column: Column, count: int, rng: np.random.Generator) -> NDArray[Any]:
    words = ["the", "a", "model", "of", "data", "and", "serve", "tray", "quick", "Brown", "FOX", "42", "naïve"]
    made = np.empty(count, dtype=object)
    made[:] = [" ".join(words[i] for i in rng.integers(0, len(words), rng.integers(0, 9))) for _ in range(count)]
    if column.nullable:
        _replace(made, 0.05, np.full(count, None, dtype=object), rng)
    return made
