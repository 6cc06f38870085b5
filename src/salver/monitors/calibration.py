"""What answers were worth on labelled rows, so that answers without labels can be valued the same.

A classifier's rows are counted by predicted class and by the probability given to it, with the hits of each cell: CBPE
(confidence-based performance estimation; NannyML) on whole-number counts. A regressor's are counted by the size of the
prediction, with its errors: DLE (direct loss estimation) with the bins as its model. Estimates are sums over the counts of a
window, so that they do not depend on the order of its rows, and are right as long as a cell keeps meaning what it meant:
under covariate shift, not under concept drift.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from salver.monitors.bins import Counts, NumberBins, number_bins, spelled
from salver.monitors.change import last_change
from salver.monitors.estimate import Estimate, Floats, Z, normal
from salver.types.signature import Columns, Signature

CELLS = 50
"""Equal-mass bins of the probability: fine enough that rows moving within one do not matter."""
_CLASSES = 20
_FEWEST = 30  # labelled rows of a class that can be calibrated
_SHAPE_ROWS = 500
"""As many rows the reference counts as beside labels that contradict it: it still knows best how cells differ."""
_UNSURE = 1 / 3
"""What moves rows to other cells may change what a cell means. This part of how far an estimate is from what the reference had
is taken as the standard deviation of that: on public sets the part was between a tenth and a half (docs/measured.md)."""


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows by predicted class and by the probability of that class, and how many of them were right.

    `counts[k][i]` and `hits[k][i]` are those of the k-th of `classes` in the i-th cell of `bins`.
    """

    classes: tuple[str, ...]
    bins: NumberBins
    counts: tuple[tuple[float, ...], ...]
    hits: tuple[tuple[float, ...], ...]

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.classes), self.bins.size

    @property
    def rates(self) -> Floats:
        """How often a row of each cell is right: isotonic in the probability, by class."""
        return np.stack([isotonic(np.asarray(h), np.asarray(n)) for h, n in zip(self.hits, self.counts, strict=True)])

    def count(self, predicted: NDArray[Any], probabilities: Floats, weights: Counts | None = None) -> Counts:
        """Rows by cell. `predicted` are places in the classes, -1 for none of them; `probabilities` those of the class."""
        known = (predicted >= 0) & (predicted < len(self.classes))
        kept = None if weights is None else weights[known]
        made = [
            self.bins.count(probabilities[known][predicted[known] == k], None if kept is None else kept[predicted[known] == k])
            for k in range(len(self.classes))
        ]
        return np.stack(made)

    def accuracy(self, counts: Counts) -> Estimate:
        """The accuracy of a window's rows, with the interval that its labels would fall into 95 times of 100.

        It has the chance of the labels themselves and what the reference is not sure of.
        """
        total = float(counts.sum())
        rates, known = self.rates, np.asarray(self.counts, dtype=np.float64)
        value = float(np.sum(counts * rates)) / total
        spread = np.maximum(rates * (1 - rates), 1 / (known + 4))
        of_labels = float(np.sum(counts * rates * (1 - rates))) / total**2
        of_reference = float(np.sum((counts / total) ** 2 * spread / np.maximum(known, 1)))
        return normal(value, of_labels + of_reference, low=0.0, high=1.0)

    def estimates(self, counts: Counts) -> dict[str, Estimate]:
        """The same, with an interval that also has what is not known where rows have moved to other cells."""
        usual = float(np.sum(self.hits) / np.sum(self.counts))
        return {"accuracy": _unsure(self.accuracy(counts), usual, high=1.0)}

    def refitted(self, predicted: NDArray[Any], probabilities: Floats, right: NDArray[np.bool_]) -> Calibration:
        """With rows that were labelled lately, in order of time: those since the last change of what cells mean."""
        cells = self.bins.places(probabilities)
        share, since = _kept(right - self.rates[predicted, cells], float(np.sum(self.counts)))
        predicted, probabilities, right = predicted[since:], probabilities[since:], right[since:]
        told = [
            np.asarray(known) * share + self.count(predicted[at], probabilities[at])
            for known, at in ((self.counts, slice(None)), (self.hits, right))
        ]
        counts, hits = (tuple(tuple(row) for row in part.tolist()) for part in told)
        return Calibration(self.classes, self.bins, counts, hits)

    def surprise(self, counts: Counts, hits: Counts) -> tuple[float, float]:
        """Labelled rows against what was expected of them: realised minus expected accuracy, and its z.

        It is of the same rows, so which rows get labels does not matter. What is beyond chance is concept drift: a cell no
        longer means what it meant.
        """
        total = float(counts.sum())
        rates, known = self.rates, np.asarray(self.counts, dtype=np.float64)
        difference = float(hits.sum() - np.sum(counts * rates)) / total
        spread = np.maximum(rates * (1 - rates), 1 / (known + 4))
        variance = float(np.sum(counts * spread)) / total**2
        variance += float(np.sum((counts / total) ** 2 * spread / np.maximum(known, 1)))
        return difference, difference / math.sqrt(variance)


class Errors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A regressor's errors by the size of its prediction: the mean of |e|, e² and e⁴ in each cell of `bins`."""

    bins: NumberBins
    counts: tuple[float, ...]
    absolute: tuple[float, ...]
    squared: tuple[float, ...]
    fourth: tuple[float, ...]

    def mae(self, counts: Counts) -> Estimate:
        """The mean absolute error of a window's rows, with the interval that its labels would fall into."""
        mean, square = np.asarray(self.absolute), np.asarray(self.squared)
        return self._estimate(counts, mean, np.maximum(square - mean**2, 0.0))

    def rmse(self, counts: Counts) -> Estimate:
        """The root of the mean squared error, in the same way."""
        square = np.asarray(self.squared)
        found = self._estimate(counts, square, np.maximum(np.asarray(self.fourth) - square**2, 0.0))
        return Estimate(math.sqrt(found.value), math.sqrt(max(found.low, 0.0)), math.sqrt(found.high))

    def estimates(self, counts: Counts) -> dict[str, Estimate]:
        """Both, with intervals that also have what is not known where rows have moved to other cells."""
        rows = np.asarray(self.counts, dtype=np.float64)
        absolute, squared = (float(np.sum(rows * part) / rows.sum()) for part in (self.absolute, self.squared))
        return {"mae": _unsure(self.mae(counts), absolute), "rmse": _unsure(self.rmse(counts), math.sqrt(squared))}

    def refitted(self, predicted: Floats, error: Floats) -> Errors:
        """With rows that were labelled lately, in order of time: those since the last change of what cells mean."""
        cells = self.bins.places(predicted)
        share, since = _kept(np.abs(error) - np.asarray(self.absolute)[cells], float(np.sum(self.counts)))
        predicted, error, cells = predicted[since:], error[since:], cells[since:]
        known = np.asarray(self.counts) * share
        counts = known + self.bins.count(predicted)
        made = [
            (np.asarray(means) * known + np.bincount(cells, np.abs(error) ** power, minlength=len(known)))
            / np.maximum(counts, 1)
            for power, means in ((1, self.absolute), (2, self.squared), (4, self.fourth))
        ]
        kept = [
            np.where(counts > 0, new, old) for new, old in zip(made, (self.absolute, self.squared, self.fourth), strict=True)
        ]
        return Errors(self.bins, tuple(counts.tolist()), *(tuple(part.tolist()) for part in kept))

    def surprise(self, counts: Counts, absolute: float) -> tuple[float, float]:
        """The mean |error| of labelled rows minus what was expected of them, and its z."""
        found = self.mae(counts)
        reach = (found.high - found.value) / Z
        difference = absolute - found.value
        return difference, difference / reach if reach else 0.0

    def _estimate(self, counts: Counts, means: Floats, variances: Floats) -> Estimate:
        total = float(counts.sum())
        known = np.maximum(np.asarray(self.counts, dtype=np.float64), 1)
        value = float(np.sum(counts * means)) / total
        of_labels = float(np.sum(counts * variances)) / total**2
        of_reference = float(np.sum((counts / total) ** 2 * variances / known))
        return normal(value, of_labels + of_reference, low=0.0)


def _kept(surprise: Floats, reference: float) -> tuple[float, int]:
    """What a row of the reference, which has so many, weighs beside rows that were labelled lately, and from which of them on
    they count. `surprise` is by how much each was not as expected."""
    since = last_change(surprise, reference)
    return (1.0, 0) if since is None else (min(1.0, _SHAPE_ROWS / reference), since)


def _unsure(found: Estimate, usual: float, high: float = math.inf) -> Estimate:
    further = Z * _UNSURE * (found.value - usual)
    below, above = (math.hypot(reach, further) for reach in (found.value - found.low, found.high - found.value))
    return Estimate(found.value, max(0.0, found.value - below), min(high, found.value + above))


def calibration_of(signature: Signature, outputs: Columns, labels: NDArray[Any]) -> Calibration | None:
    """Of a classifier's answers (indices) and labels (indices); None where it gives no probabilities."""
    probabilities, classes = outputs.get("probabilities"), signature.prediction.classes
    if probabilities is None or classes is None or signature.prediction.is_multilabel or len(classes) > _CLASSES:
        return None
    predicted = outputs[signature.prediction.name].astype(np.int64)
    own = probabilities[np.arange(len(predicted)), predicted].astype(np.float64)
    return calibrated([spelled(one) for one in classes], predicted, own, predicted == labels)


def calibrated(classes: list[str], predicted: NDArray[Any], own: Floats, right: NDArray[np.bool_]) -> Calibration | None:
    """From predicted places, the probability given to each, and whether it was right; None for too few rows."""
    if len(predicted) < _FEWEST:
        return None
    empty = Calibration(tuple(classes), number_bins(own, min(CELLS, max(len(own) // _FEWEST, 1))), (), ())
    counts, hits = (empty.count(predicted[kept], own[kept]) for kept in (slice(None), right))
    told = [tuple(tuple(row) for row in part.tolist()) for part in (counts, hits)]
    return Calibration(tuple(classes), empty.bins, told[0], told[1])


def errors_of(signature: Signature, outputs: Columns, labels: NDArray[Any]) -> Errors | None:
    """Of a regressor's answers and labels; None for what is no regressor of one number."""
    prediction = outputs[signature.prediction.name]
    if signature.prediction.classes is not None or prediction.dtype.kind not in "fiu" or prediction.ndim > 1:
        return None
    if labels.dtype.kind not in "fiu" or len(labels) < _FEWEST:
        return None
    numbers = prediction.astype(np.float64)
    error = numbers - labels.astype(np.float64)
    bins = number_bins(numbers, min(CELLS, max(len(numbers) // _FEWEST, 1)))
    cells = bins.places(numbers)
    counts = np.bincount(cells, minlength=bins.size)
    made = [_means(cells, np.abs(error) ** power, counts) for power in (1, 2, 4)]
    return Errors(bins, tuple(counts.tolist()), made[0], made[1], made[2])


def isotonic(hits: NDArray[Any], counts: NDArray[Any]) -> Floats:
    """The rates that rise from cell to cell and are nearest to hits / counts: pool adjacent violators (Ayer et al. 1955).

    A cell without rows has the rate of its neighbours, and all have a half where there are none at all.
    """
    blocks: list[list[float]] = []  # hits, rows, cells
    for h, n in zip(hits.tolist(), counts.tolist(), strict=True):
        blocks.append([float(h), float(n), 1])
        while len(blocks) > 1 and _rate(blocks[-2]) >= _rate(blocks[-1]):
            h_last, n_last, cells = blocks.pop()
            blocks[-1] = [blocks[-1][0] + h_last, blocks[-1][1] + n_last, blocks[-1][2] + cells]
    rates = np.repeat([_rate(block) for block in blocks], [int(block[2]) for block in blocks])
    known = np.repeat([block[1] > 0 for block in blocks], [int(block[2]) for block in blocks])
    if not known.any():
        return np.full(len(rates), 0.5)
    places = np.arange(len(rates))
    return np.interp(places, places[known], rates[known])


def _rate(block: list[float]) -> float:
    return block[0] / block[1] if block[1] else -1.0


def _means(cells: NDArray[Any], values: Floats, counts: NDArray[Any]) -> tuple[float, ...]:
    """The mean of each cell; of cells without rows, that of all."""
    sums = np.bincount(cells, values, minlength=len(counts))
    overall = float(values.mean())
    return tuple(np.where(counts > 0, sums / np.maximum(counts, 1), overall).tolist())
