"""Golden rows: a few with the original's answers, which a model must give again whenever it is loaded."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.artifact.manifest import Golden
from salver.errors import InputError, ModelFileError
from salver.frameworks.base import Trained
from salver.lower.original import answered
from salver.lower.rows import Landmarks, find_landmarks
from salver.types.policies import Flagged, is_governed
from salver.types.rows import RowChecker
from salver.types.signature import Column, Columns, Signature, rows_of

_PLAIN, _PROOF = 4, 4
_LARGE = 1000  # values a row, from which on one of each is enough
_EXAMPLES = 16
_ASKED = 200
_TEXTS = ("some plain text", "another text", "and one more", "the last of them")


def golden_rows(trained: Trained, examples: Columns, rows: Columns) -> Golden:
    """Plain examples first, that a person can paste, then some of the proof's own rows."""
    large = sum(values[:1].size for values in examples.values()) > _LARGE
    first = _legal(trained.signature, examples, 1 if large else _PLAIN)
    plain = {name: values[first] for name, values in examples.items()}
    at = _legal(trained.signature, rows, 1 if large else _PROOF)
    mixed = {name: np.concatenate([plain[name], rows[name][at]]) for name in plain}
    # Asked together, as they will be when the model is loaded: some models answer a row a little otherwise in other company.
    outputs = {name: answers.tolist() for name, answers in trained.predict(mixed).items()}
    return Golden(_as_rows(trained.signature, mixed), outputs, trained.tolerance)


def _legal(signature: Signature, rows: Columns, count: int) -> list[int]:
    """Which of the proof's rows become golden ones: spread evenly, of those that the columns' policies let through."""
    total = rows_of(rows)
    if not (any(is_governed(column) for column in signature.columns)):
        return np.linspace(0, total - 1, min(total, count)).astype(int).tolist()
    checker = RowChecker(signature)
    kept: list[int] = []
    for at in np.linspace(0, total - 1, min(total, _ASKED)).astype(int).tolist():
        (row,) = _as_rows(signature, {name: array[at : at + 1] for name, array in rows.items()})
        try:
            flagged = isinstance(checker.check(row), Flagged)
        except InputError:
            continue
        if not flagged:
            kept.append(at)
    return [kept[i] for i in np.linspace(0, len(kept) - 1, min(len(kept), count)).astype(int)]


def some_of(trained: Trained, sample: Columns) -> Columns:
    """A few rows of a sample, from the first to the last, that the model answers; empty for none."""
    at = np.unique(np.linspace(0, rows_of(sample) - 1, _EXAMPLES).astype(int))
    kept, _, _ = answered(trained, {name: values[at] for name, values in sample.items()})
    return kept


def plain_rows(trained: Trained) -> Columns:
    """Rows in the middle of what the model knows, with short numbers, that it answers. Raises ModelFileError for none."""
    landmarks = Landmarks(len(trained.signature.columns))
    find_landmarks(trained.model, landmarks)
    rng = np.random.default_rng(7)
    made = {column.name: _plain(column, landmarks, i, rng) for i, column in enumerate(trained.signature.columns)}
    kept, _, error = answered(trained, made)
    if not kept:
        raise ModelFileError(f"{trained.framework.model} refuses all rows that it was asked ({type(error).__name__})")
    return kept


def _plain(column: Column, landmarks: Landmarks, i: int, rng: np.random.Generator) -> NDArray[Any]:
    shape = (_EXAMPLES, *landmarks.shape_of(i, column))
    made = _plain_values(column, landmarks, i, rng, prod(shape)).reshape(shape)
    return made.astype(column.dtype) if column.shape and column.is_number else made


def _plain_values(column: Column, landmarks: Landmarks, i: int, rng: np.random.Generator, count: int) -> NDArray[Any]:
    if column.dtype in ("category", "string"):
        known = _TEXTS if column.dtype == "string" else column.categories or ("",)
        values = np.empty(count, dtype=object)
        values[:] = [known[int(k)] for k in rng.integers(0, len(known), count)]
        return values
    low, high = landmarks.low.get(i, -np.inf), landmarks.high.get(i, np.inf)
    numbers = np.quantile(_in_range(landmarks, i, low, high), rng.uniform(0.25, 0.75, count))
    values = np.clip([float(f"{number:.3g}") for number in numbers], low, high)
    return np.rint(values).astype(column.dtype) if column.dtype.startswith(("int", "uint", "bool")) else values


def _in_range(landmarks: Landmarks, i: int, low: float, high: float) -> NDArray[np.float64]:
    """What the model knows of column i, or else ordinary numbers, between `low` and `high`."""
    known = np.concatenate([np.asarray(landmarks.values[i]), *(rows[:, i] for rows in landmarks.rows)])
    ordinary = np.array([0.5, 1.0, 2.0, 3.0])
    for pool in (known, ordinary, low + ordinary, high - ordinary):
        inside = pool[(pool >= low) & (pool <= high)]
        if len(inside):
            return inside
    return np.array([low, high])


def _as_rows(signature: Signature, columns: Columns) -> list[list[object]]:
    rows = [list(values) for values in zip(*(_as_values(columns[name]) for name in signature.names), strict=True)]
    # The only tensor is the row.
    return [row[0] for row in rows] if len(rows[0]) == 1 and signature.columns[0].shape else rows  # type: ignore[return-value]


def _as_values(array: Any) -> list[object]:
    """Values as JSON can hold them: missing is null, infinities are spelled."""
    spelled = {float("inf"): "Infinity", float("-inf"): "-Infinity"}
    values = np.empty(array.size, dtype=object)
    values[:] = [
        None if value is None or value != value else spelled.get(value, value) if isinstance(value, float) else value
        for value in array.ravel().tolist()
    ]
    return values.reshape(array.shape).tolist()
