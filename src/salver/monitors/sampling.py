"""How far a metric of a window sways by chance alone: its standard deviation over windows of so many rows, told from labelled
reference rows. Pure.

As NannyML has it: the deviation of what a row adds to the metric, over the root of how many rows of a window say something
about it. Intervals of a metric that was measured are in `confusion.py` and `ranking.py`: they come of the window's own rows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from salver.monitors.significance import Floats


def sampling_error_of_numbers(labels: ArrayLike, predictions: ArrayLike, rows: int) -> dict[str, float]:
    """Of mae, mse and rmse."""
    error = np.asarray(labels, np.float64) - np.asarray(predictions, np.float64)
    squared = error**2
    mse = float(squared.std()) / math.sqrt(rows)
    root = math.sqrt(float(squared.mean()))
    return {"mae": float(np.abs(error).std()) / math.sqrt(rows), "mse": mse, "rmse": mse / (2 * root) if root else 0.0}


def sampling_error_of_classes(
    labels: ArrayLike, predictions: ArrayLike, rows: int, scores: ArrayLike | None = None
) -> dict[str, float]:
    """Of accuracy, precision, recall, specificity and f1 of 0 and 1, where 1 is positive; of roc_auc where `scores` are given.

    Left out is what no row of the reference says anything about.
    """
    truth, said = np.asarray(labels) == 1, np.asarray(predictions) == 1
    right, told = truth == said, truth | said
    made = {
        "accuracy": _spread(right, np.ones_like(right), rows),
        "precision": _spread(right, said, rows),
        "recall": _spread(right, truth, rows),
        "specificity": _spread(right, ~truth, rows),
        "f1": _spread(right, told, rows),
    }
    hits = int((truth & said).sum())
    weight = hits + 0.5 * (int(told.sum()) - hits)
    made["f1"] *= int(told.sum()) / weight if weight else math.nan
    if scores is not None:
        made["roc_auc"] = _area(truth, np.asarray(scores, np.float64), rows)
    return {name: value for name, value in made.items() if not math.isnan(value)}


def _spread(right: NDArray[Any], relevant: NDArray[Any], rows: int) -> float:
    """Of the share of right ones among the relevant rows."""
    return float(right[relevant].std()) / math.sqrt(rows * float(relevant.mean())) if relevant.any() else math.nan


def _area(truth: NDArray[np.bool_], scores: Floats, rows: int) -> float:
    """By the rarer class alone: how the share of the others that a row of it beats varies (Mann and Whitney's area)."""
    if truth.mean() > 0.5:
        truth, scores = ~truth, -scores
    rare, others = scores[truth], np.sort(scores[~truth])
    if not len(rare):
        return math.nan
    beaten = (np.searchsorted(others, rare, "left") + np.searchsorted(others, rare, "right")) / (2 * len(others))
    return float(beaten.std()) / math.sqrt(rows * float(truth.mean()))
