"""What probabilities are worth: how they rank, how far off they are, whether they mean what they say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.monitors.estimate import Z, Estimate, Floats, effective, mean, normal

CALIBRATION_BINS = 15


def of_probabilities(labels: NDArray[Any], probabilities: Floats, weights: Floats) -> dict[str, Estimate]:
    """roc_auc, pr_auc, log_loss, brier and calibration_error.

    `labels` are indices into the columns of `probabilities` (rows, classes). With two classes the second is the positive one
    and the Brier score is that of its probability; with more, areas are the means over one class against all others, and the
    Brier score is the sum over the classes. Areas are left out where a class has no labels.
    """
    rows, classes = np.arange(len(labels)), probabilities.shape[1]
    tiny = float(np.finfo(np.float64).eps)
    own = probabilities[rows, labels]
    hit = np.zeros_like(probabilities)
    hit[rows, labels] = 1.0
    distance = np.sum((probabilities - hit) ** 2, axis=1) / (2 if classes == 2 else 1)
    made = {
        "log_loss": mean(-np.log(np.clip(own, tiny, 1 - tiny)), weights, low=0.0),
        "brier": mean(distance, weights, low=0.0),
        "calibration_error": _calibration_error(labels, probabilities, weights),
    }
    positives = [1] if classes == 2 else list(range(classes))
    if len(np.unique(labels)) == classes:
        ranked = [_areas(labels == k, probabilities[:, k], weights) for k in positives]
        influence = np.sum([of[1] for of in ranked], axis=0) / len(ranked)
        made["roc_auc"] = normal(
            float(np.mean([of[0] for of in ranked])), float(np.dot(influence, influence)), low=0.0, high=1.0
        )
        area = float(np.mean([of[2] for of in ranked]))
        made["pr_auc"] = normal(area, sum(of[3] for of in ranked) / len(ranked) ** 2, low=0.0, high=1.0)
    return made


def _areas(positive: NDArray[np.bool_], scores: Floats, weights: Floats) -> tuple[float, Floats, float, float]:
    """The area under the ROC curve and each row's influence on it (DeLong), the average precision and its variance."""
    order = np.argsort(-scores)
    ordered = scores[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # of each run of equal scores
    runs = np.repeat(np.arange(len(last)), np.diff(last, prepend=-1))
    plus = np.where(positive, weights, 0.0)[order]
    hits, misses = np.cumsum(plus)[last], np.cumsum(weights[order] - plus)[last]
    total_hits, total_misses = hits[-1], misses[-1]
    before_hits, before_misses = np.append(0.0, hits[:-1]), np.append(0.0, misses[:-1])
    # Of each run: the share of the other kind that it beats, ties counting half.
    beaten = 1 - (misses + before_misses) / (2 * total_misses)
    lost = (hits + before_hits) / (2 * total_hits)
    area = float(np.dot(hits - before_hits, beaten) / total_hits)
    influence = np.empty_like(scores)
    of_plus, of_minus = (beaten - area) / total_hits, (lost - area) / total_misses
    influence[order] = weights[order] * np.where(positive[order], of_plus[runs], of_minus[runs])
    precision = hits / (hits + misses)
    average = float(np.dot(hits - before_hits, precision) / total_hits)
    rows = effective(weights[positive])
    return area, influence, average, average * (1 - average) / rows


def _calibration_error(labels: NDArray[Any], probabilities: Floats, weights: Floats) -> Estimate:
    """The mean distance, over bins of the highest probability, between it and the share of rows where it was right."""
    highest = probabilities.argmax(axis=1)
    sure = probabilities[np.arange(len(labels)), highest]
    bins = np.minimum((sure * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    off = sure - (highest == labels)
    by_bin = np.bincount(bins, weights * off, minlength=CALIBRATION_BINS)
    total = float(weights.sum())
    value = float(np.abs(by_bin).sum()) / total
    spread = weights * (np.sign(by_bin)[bins] * off - value)
    return normal(value, float(np.dot(spread, spread)) / total**2, low=0.0, high=1.0)


def of_numbers(labels: Floats, predictions: Floats, weights: Floats) -> dict[str, Estimate]:
    """mae, rmse, mape, r2 and bias (prediction minus label). `r2` is left out where all labels are the same."""
    error = predictions - labels
    squared = mean(error**2, weights)
    root = math.sqrt(squared.value)
    variance = ((squared.high - squared.value) / (2 * root * Z)) ** 2 if root else 0.0
    tiny = float(np.finfo(np.float64).eps)
    made = {
        "mae": mean(np.abs(error), weights, low=0.0),
        "rmse": normal(root, variance, low=0.0),
        "mape": mean(np.abs(error) / np.maximum(np.abs(labels), tiny), weights, low=0.0),
        "bias": mean(error, weights),
    }
    total = float(weights.sum())
    around = (labels - np.dot(labels, weights) / total) ** 2
    spread = float(np.dot(around, weights)) / total
    if spread:
        lost = squared.value / spread
        influence = weights * (error**2 - lost * around) / (spread * total)
        made["r2"] = normal(1 - lost, float(np.dot(influence, influence)), high=1.0)
    return made
