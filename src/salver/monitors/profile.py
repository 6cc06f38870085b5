"""`profile.json`: what the hold-out rows looked like, and the answers to them. What is seen later is compared with this.

Counts are whole numbers over fixed cells (`bins.py`), so that the profiles of two halves add up to that of the whole.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from salver.monitors.bins import MISSING, Bins, Counts, NumberBins, ValueBins, number_bins, value_bins
from salver.monitors.calibration import Calibration, Errors, calibration_of, errors_of
from salver.monitors.estimate import Estimate
from salver.types.signature import Column, Columns, Output, Signature, rows_of

FILENAME = "profile.json"
BLOCKS = 10
"""Parts of a sample in order of time, between which over-dispersion is measured."""
_QUANTILES = (0.005, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.995)
_BLOCK_CELL = 5  # rows of a cell in each block, below which cells say nothing about dispersion


class ColumnProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column or an output: `counts[i]` rows in the i-th cell of `bins`.

    `quantiles` are at 0.5, 1, 5, 25, 50, 75, 95, 99 and 99.5 %. `dispersion` is how many times more the counts of blocks of
    `block_rows` rows vary than those of independent rows; 1 where the order of the rows is not known to be that of time.
    `importance` is how far answers move when the column is shuffled: the share of labels that change, or the mean change of a
    number over its standard deviation.
    """

    bins: NumberBins | ValueBins
    counts: tuple[int, ...]
    mean: float | None = None
    deviation: float | None = None
    quantiles: tuple[float, ...] = ()
    dispersion: float = 1.0
    block_rows: int = 0
    importance: float | None = None

    @property
    def rows(self) -> int:
        return sum(self.counts)

    @property
    def missing(self) -> int:
        return self.counts[MISSING]

    def dispersion_at(self, rows: float) -> float:
        """The factor on 1/n + 1/m by which the shares of a window of so many rows vary more than those of independent rows.

        What sways whole blocks sways a part of one as a whole, so that the factor grows with the window until it has the
        size of a block.
        """
        if self.dispersion <= 1 or not rows or not self.rows:
            return 1.0
        of_window = 1 + (self.dispersion - 1) * min(1.0, rows / max(self.block_rows, 1))
        return (of_window / rows + self.dispersion / self.rows) / (1 / rows + 1 / self.rows)


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of all columns and outputs by name; an output of several numbers a row has one of each: "probabilities:setosa".

    `source` says what it was made of: "sample", rows given at save; "first rows" or "window", rows out of the log.
    """

    rows: int
    columns: dict[str, ColumnProfile]
    outputs: dict[str, ColumnProfile]
    labels: ColumnProfile | None = None
    calibration: Calibration | None = None
    errors: Errors | None = None
    performance: dict[str, Estimate] = {}
    duplicates: int = 0
    source: str = "sample"


def profile_of(
    signature: Signature,
    columns: Columns,
    outputs: Columns,
    labels: NDArray[Any] | None = None,
    *,
    by_time: bool = False,
    importance: dict[str, float] | None = None,
    performance: dict[str, Estimate] | None = None,
) -> Profile:
    """The profile of rows and of the answers to them (indices where an output has classes; labels likewise).

    `outputs` and `labels` may be of some of the rows only. `by_time` says that the rows are in order of time.
    """
    prediction = signature.prediction
    kept = importance or {}
    return Profile(
        rows=rows_of(columns),
        columns={
            column.name: column_profile(_values(column, columns[column.name]), by_time, kept.get(column.name))
            for column in signature.columns
            if not column.shape
        },
        outputs=told_once(
            {
                name: column_profile(array, by_time)
                for output in signature.outputs
                for name, array in split(signature, output, outputs).items()
            }
        ),
        labels=None if labels is None or labels.ndim > 1 else column_profile(_named(prediction, labels)),
        calibration=None if labels is None else calibration_of(signature, outputs, labels),
        errors=None if labels is None else errors_of(signature, outputs, labels),
        performance=performance or {},
        duplicates=duplicates(signature, columns),
    )


def column_profile(array: NDArray[Any], by_time: bool = False, importance: float | None = None) -> ColumnProfile:
    """The profile of a column: of numbers (NaN where missing), or of objects (None where missing)."""
    if array.dtype.kind not in "fiu":
        bins: Bins = value_bins(array.tolist())
        return _profiled(bins, array, by_time, importance)
    numbers = array.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    made = _profiled(number_bins(numbers), numbers, by_time, importance)
    if not len(finite):
        return made
    with np.errstate(over="ignore"):
        mean, deviation = float(np.mean(finite)), float(np.std(finite))
    return msgspec.structs.replace(
        made,
        mean=mean if math.isfinite(mean) else None,
        deviation=deviation if math.isfinite(deviation) else None,
        quantiles=tuple(np.quantile(finite, _QUANTILES, method="inverted_cdf").tolist()),
    )


def _profiled(bins: Bins, array: NDArray[Any], by_time: bool, importance: float | None) -> ColumnProfile:
    counts, rows = bins.count(array), len(array)
    found, block = 1.0, rows // BLOCKS
    if by_time and block:
        parts = [bins.count(array[i * block : (i + 1) * block]) for i in range(BLOCKS)]
        found = dispersion(np.stack(parts))
    return ColumnProfile(
        bins, tuple(counts.tolist()), dispersion=found, block_rows=block if by_time else 0, importance=importance
    )


def dispersion(blocks: Counts) -> float:
    """χ²/df of counts (blocks, cells) against alike blocks, at least 1: the over-dispersion of counts between them.

    Cells with too few rows are left out. Source: McCullagh, Nelder: Generalized Linear Models, 4.5.2.
    """
    kept = blocks[:, blocks.sum(axis=0) >= _BLOCK_CELL * len(blocks)].astype(np.float64)
    total = kept.sum(axis=0)
    if kept.shape[1] < 2:
        return 1.0
    expected = np.outer(kept.sum(axis=1), total) / total.sum()
    statistic = float(np.sum((kept - expected) ** 2 / np.maximum(expected, 1e-300)))
    return max(1.0, statistic / ((len(kept) - 1) * (kept.shape[1] - 1)))


def duplicates(signature: Signature, columns: Columns) -> int:
    """How many rows are the same as one before them, by the columns that hold one value a row."""
    arrays = [columns[column.name].tolist() for column in signature.columns if not column.shape]
    if not arrays:
        return 0
    rows = list(map(str, zip(*arrays, strict=True)))
    return len(rows) - len(set(rows))


def split(signature: Signature, output: Output, outputs: Columns) -> dict[str, NDArray[Any]]:
    """An output as columns of one value a row: classes by name, several numbers each by that of its class or its place."""
    array = outputs[output.name]
    if output.is_multilabel or array.ndim > 2:
        return {}
    if output.classes is not None:
        return {output.name: _named(output, array)}
    if array.ndim == 1:
        return {output.name: array if array.dtype.kind in "fiu" else array.astype(object)}
    classes = signature.prediction.classes or ()
    names = classes if len(classes) == array.shape[1] else range(array.shape[1])
    return {f"{output.name}:{name}": array[:, k].astype(np.float64) for k, name in enumerate(names)}


def told_once(outputs: dict[str, ColumnProfile]) -> dict[str, ColumnProfile]:
    """Without the first of two probabilities, which says what the second does."""
    shares = [name for name in outputs if name.startswith("probabilities:")]
    return {name: of for name, of in outputs.items() if len(shares) != 2 or name != shares[0]}


def _values(column: Column, array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float64) if column.is_number and column.dtype != "bool" else array.astype(object)


def _named(output: Output, array: NDArray[Any]) -> NDArray[Any]:
    """Indices as the classes they stand for."""
    if output.classes is None:
        return array if array.dtype.kind in "fiu" else array.astype(object)
    made = np.empty(len(array), dtype=object)
    made[:] = [output.classes[i] for i in array.tolist()]
    return made
