"""What labels would say of a classifier's answers, from its probabilities alone, row by row: confidence-based performance
estimation (CBPE). Pure.

A monitor does this on counts (`calibration.Calibration`). With the rows at hand, every metric of two classes can be had.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from salver.monitors.calibration import isotonic
from salver.monitors.significance import Floats


def recalibrated(scores: ArrayLike, labels: ArrayLike, current: ArrayLike) -> Floats:
    """Scores as how often labelled rows with such a score were positive (1): isotonic, and straight between the scores seen."""
    values, places = np.unique(np.asarray(scores, np.float64), return_inverse=True)
    counts, hits = np.bincount(places), np.bincount(places, np.asarray(labels) == 1)
    return np.interp(np.asarray(current, np.float64), values, isotonic(hits, counts))


def expected_metrics(probabilities: ArrayLike, predictions: ArrayLike, scores: ArrayLike | None = None) -> dict[str, float]:
    """accuracy, precision, recall, specificity, f1 and roc_auc of rows that are positive with these probabilities.

    `predictions` are 0 or 1; `scores` rank the rows, by default the probabilities. What would be divided by zero is zero.
    """
    p, said = np.asarray(probabilities, np.float64), np.asarray(predictions) == 1
    hits, missed = float(p[said].sum()), float(p[~said].sum())
    wrong, rightly_not = float((1 - p[said]).sum()), float((1 - p[~said]).sum())
    return {
        "accuracy": (hits + rightly_not) / len(p),
        "precision": _part(hits, hits + wrong),
        "recall": _part(hits, hits + missed),
        "specificity": _part(rightly_not, rightly_not + wrong),
        "f1": _part(2 * hits, 2 * hits + wrong + missed),
        "roc_auc": _area(p, p if scores is None else np.asarray(scores, np.float64)),
    }


def _area(p: Floats, scores: Floats) -> float:
    """The part of pairs of a positive and a negative that the scores rank rightly, ties counting half."""
    places = np.unique(scores, return_inverse=True)[1]
    positive, negative = np.bincount(places, p), np.bincount(places, 1 - p)
    below = np.cumsum(negative) - negative / 2
    return _part(float(np.dot(positive, below)), float(positive.sum() * negative.sum()))


def _part(above: float, below: float) -> float:
    return above / below if below else 0.0
