"""`profile.json`: what the hold-out rows looked like, and the answers to them. What is seen later is compared with this.

Counts are whole numbers over fixed bins, so that the profiles of two halves add up to that of the whole.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from salver.types.checks import is_missing
from salver.types.signature import Column, Columns, Label, Output, Signature, rows_of

FILENAME = "profile.json"
BINS = 20
TOP = 50
_QUANTILES = (0.005, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.995)


class Numbers(msgspec.Struct, tag="numbers", frozen=True, forbid_unknown_fields=True):
    """A column of numbers. `counts[i]` is how many lie in (edges[i-1], edges[i]]; the first are below all that was seen, the
    last above it. Bins have about the same mass; a number that many rows have is a bin of its own. Infinities are in the first
    and the last. `quantiles` are at 0.5, 1, 5, 25, 50, 75, 95, 99 and 99.5 %.
    """

    rows: int
    missing: int
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    mean: float | None = None
    deviation: float | None = None
    quantiles: tuple[float, ...] = ()


class Values(msgspec.Struct, tag="values", frozen=True, forbid_unknown_fields=True):
    """A column of categories, labels or text: the commonest values, the commonest first, and how many rows had another."""

    rows: int
    missing: int
    values: tuple[Label, ...] = ()
    counts: tuple[int, ...] = ()
    other: int = 0


ColumnProfile = Numbers | Values


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often a class was right, by the probability that it was given: bins as in Numbers, and the hits in each."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    hits: tuple[int, ...]


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of all columns and outputs by name; an output of several numbers a row has one of each: "probabilities:setosa"."""

    rows: int
    columns: dict[str, Numbers | Values]
    outputs: dict[str, Numbers | Values]
    labels: Numbers | Values | None = None
    calibration: dict[str, Calibration] = {}


def profile_of(signature: Signature, columns: Columns, outputs: Columns, labels: NDArray[Any] | None = None) -> Profile:
    """The profile of rows and of the answers to them (indices where an output has classes; labels likewise).

    `outputs` and `labels` may be of some of the rows only.
    """
    prediction = signature.prediction
    return Profile(
        rows=rows_of(columns),
        columns={column.name: _of_column(column, columns[column.name]) for column in signature.columns if not column.shape},
        outputs={name: made for output in signature.outputs for name, made in _of_output(signature, output, outputs)},
        labels=None if labels is None else _of_labels(prediction, labels),
        calibration={} if labels is None else calibration(signature, outputs, labels),
    )


def edges_of(values: NDArray[np.float64], bins: int = BINS) -> tuple[float, ...]:
    """Edges of bins of about the same mass, from just below the smallest to the largest; common numbers stand alone."""
    finite = np.sort(values[np.isfinite(values)])
    if not len(finite):
        return ()
    cuts = finite[np.ceil(np.arange(1, bins + 1) * len(finite) / bins).astype(int) - 1]
    distinct, counts = np.unique(finite, return_counts=True)
    common = distinct[counts >= len(finite) / bins]
    with np.errstate(over="ignore"):
        below = np.maximum(np.nextafter([finite[0], *common], -np.inf), np.finfo(np.float64).min)
    edges = np.unique(np.concatenate([cuts, common, below]))
    return tuple(edges.tolist())


def counted(edges: Sequence[float], values: NDArray[np.float64]) -> tuple[int, ...]:
    """How many of the values that are not missing lie in each bin: one more than there are edges."""
    present = values[~np.isnan(values)]
    bins = np.searchsorted(np.asarray(edges), present, side="left")
    return tuple(np.bincount(bins, minlength=len(edges) + 1).tolist())


def calibration(signature: Signature, outputs: Columns, labels: NDArray[Any]) -> dict[str, Calibration]:
    """By class; empty for a model that gives no probabilities."""
    probabilities, classes = outputs.get("probabilities"), signature.prediction.classes
    if probabilities is None or classes is None or signature.prediction.is_multilabel:
        return {}
    made: dict[str, Calibration] = {}
    for k, label in enumerate(classes):
        scores = probabilities[:, k]
        edges = edges_of(scores)
        made[str(label)] = Calibration(edges, counted(edges, scores), counted(edges, scores[labels == k]))
    return made


def _of_column(column: Column, array: NDArray[Any]) -> ColumnProfile:
    if column.is_number and column.dtype != "bool":
        return numbers(array.astype(np.float64))
    return values(array.tolist())


def _of_output(signature: Signature, output: Output, outputs: Columns) -> list[tuple[str, ColumnProfile]]:
    array = outputs[output.name]
    if output.is_multilabel or array.ndim > 2:
        return []
    if output.classes is not None:
        return [(output.name, values([output.classes[i] for i in array.tolist()]))]
    if array.dtype.kind not in "fiub":
        return [(output.name, values(array.tolist()))]
    if array.ndim == 1:
        return [(output.name, numbers(array.astype(np.float64)))]
    classes = signature.prediction.classes or ()
    names = classes if len(classes) == array.shape[1] else range(array.shape[1])
    return [(f"{output.name}:{name}", numbers(array[:, k].astype(np.float64))) for k, name in enumerate(names)]


def _of_labels(prediction: Output, labels: NDArray[Any]) -> ColumnProfile | None:
    if labels.ndim > 1:
        return None
    if prediction.classes is not None:
        return values([prediction.classes[i] for i in labels.tolist()])
    return numbers(labels.astype(np.float64)) if labels.dtype.kind in "fiub" else values(labels.tolist())


def numbers(array: NDArray[np.float64]) -> Numbers:
    """The profile of a column of numbers, NaN where missing."""
    present = array[~np.isnan(array)]
    finite = present[np.isfinite(present)]
    edges = edges_of(finite)
    if not edges:
        return Numbers(len(array), len(array) - len(present), (), (len(present),))
    return Numbers(
        rows=len(array),
        missing=len(array) - len(present),
        edges=edges,
        counts=counted(edges, present),
        mean=_number(np.mean(finite)),
        deviation=_number(np.std(finite)),
        quantiles=tuple(np.quantile(finite, _QUANTILES, method="inverted_cdf").tolist()),
    )


def values(listed: list[Any]) -> Values:
    """The profile of a column of anything else, None where missing."""
    present = [value for value in listed if not is_missing(value)]
    # Equal counts are put in order by the value, so that the same rows in another order have the same profile.
    ranked = sorted(Counter(present).items(), key=lambda item: (-item[1], str(item[0])))[:TOP]
    return Values(
        rows=len(listed),
        missing=len(listed) - len(present),
        values=tuple(value for value, _ in ranked),
        counts=tuple(count for _, count in ranked),
        other=len(present) - sum(count for _, count in ranked),
    )


def _number(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
