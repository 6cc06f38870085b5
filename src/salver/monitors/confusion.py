"""What labels and predicted classes say together: everything about a classifier that needs no probabilities.

All comes from one table of counts, and its intervals from a second one of squared weights, so a million rows cost as much as
counting them. A class that is neither predicted nor a label takes no part. What would be divided by zero is zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.monitors.estimate import Estimate, Floats, normal, wilson


class Confusion:
    """`counts[label, prediction]` is the weight of the rows with that label and that prediction (indices into the classes)."""

    def __init__(self, labels: NDArray[Any], predictions: NDArray[Any], weights: Floats, classes: int) -> None:
        cells = labels.astype(np.int64) * classes + predictions
        shape = (classes, classes)
        self.counts: Floats = _summed(cells, weights, shape)
        self._squares: Floats = _summed(cells, weights * weights, shape)
        self._labelled: Floats = self.counts.sum(axis=1)
        self._predicted: Floats = self.counts.sum(axis=0)
        self._hits: Floats = np.diag(self.counts).copy()
        self._both = self._labelled + self._predicted
        self.present = np.flatnonzero(self._both)
        self.recall = _ratio(self._hits, self._labelled)
        self.precision = _ratio(self._hits, self._predicted)
        self.f1 = _ratio(2 * self._hits, self._both)

    def estimates(self) -> dict[str, Estimate]:
        """Of all classes together. `_macro` counts classes alike, `_weighted` by their labels."""
        total = float(self.counts.sum())
        accuracy = float(self._hits.sum()) / total
        seen = np.flatnonzero(self._labelled)
        alike, by_label = np.zeros(len(self.counts)), self._labelled / total
        alike[self.present] = 1 / len(self.present)
        made = {
            "accuracy": wilson(accuracy, total**2 / float(self._squares.sum())),
            "balanced_accuracy": self._averaged(self.recall, self._of_recall(), _shares(seen, len(self.counts))),
        }
        for name, values, influence in (
            ("precision", self.precision, self._of_precision()),
            ("recall", self.recall, self._of_recall()),
            ("f1", self.f1, self._of_f1()),
        ):
            made[f"{name}_macro"] = self._averaged(values, influence, alike)
            made[f"{name}_weighted"] = self._averaged(values, influence, by_label)
        return made

    def of_class(self, k: int) -> dict[str, Estimate]:
        """precision, recall and f1 of one class."""
        row, column = self._squares[k].sum(), self._squares[:, k].sum()
        f1 = self._averaged(self.f1, self._of_f1(), _shares(np.array([k]), len(self.counts)))
        return {
            "precision": wilson(float(self.precision[k]), _rows(self._predicted[k], column)),
            "recall": wilson(float(self.recall[k]), _rows(self._labelled[k], row)),
            "f1": f1,
        }

    def _averaged(self, values: Floats, influence: tuple[Floats, Floats, Floats], shares: Floats) -> Estimate:
        """Σ shares · values. `influence` says what a row in a cell does to the values of its row, its column and its corner."""
        of_row, of_column, of_corner = (part * shares for part in influence)
        cells = of_row[:, None] + of_column[None, :] + np.diag(of_corner)
        return normal(float(np.dot(values, shares)), float(np.sum(self._squares * cells * cells)), low=0.0, high=1.0)

    def _of_recall(self) -> tuple[Floats, Floats, Floats]:
        one = _ratio(np.ones_like(self._labelled), self._labelled)
        return -self.recall * one, np.zeros_like(one), one

    def _of_precision(self) -> tuple[Floats, Floats, Floats]:
        one = _ratio(np.ones_like(self._predicted), self._predicted)
        return np.zeros_like(one), -self.precision * one, one

    def _of_f1(self) -> tuple[Floats, Floats, Floats]:
        one = _ratio(np.ones_like(self._both), self._both)
        return -self.f1 * one, -self.f1 * one, 2 * one


def _summed(cells: NDArray[Any], values: Floats, shape: tuple[int, int]) -> Floats:
    return np.bincount(cells, values, minlength=shape[0] * shape[1]).astype(np.float64).reshape(shape)


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _shares(of: NDArray[Any], classes: int) -> Floats:
    shares = np.zeros(classes)
    shares[of] = 1 / max(len(of), 1)
    return shares


def _rows(weight: float, squares: float) -> float:
    return float(weight) ** 2 / float(squares) if squares else 0.0
