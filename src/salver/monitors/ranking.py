"""What probabilities are worth: how they rank, how far off they are, whether they mean what they say."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from salver.monitors.estimate import Estimate, Floats, Z, effective, mean, normal

CALIBRATION_BINS = 15
Orders = Callable[[int], NDArray[Any] | None] | None


def of_probabilities(
    labels: NDArray[Any], probabilities: Floats, weights: Floats, orders: Orders = None
) -> dict[str, Estimate]:
    """roc_auc, pr_auc, log_loss, brier and calibration_error.

    `labels` are indices into the rows of `probabilities` (classes, rows). With two classes the second is the positive one
    and the Brier score is that of its probability; with more, areas are the means over one class against all others, and the
    Brier score is the sum over the classes. Areas are left out where a class has no labels. `orders` may know the rows by
    the probability of a class, ascending: with two classes, 0 is the second.
    """
    classes = len(probabilities)
    tiny = float(np.finfo(np.float64).eps)
    if classes == 2:
        positive = labels == 1
        own = np.where(positive, probabilities[1], probabilities[0])
        distance = (probabilities[1] - positive) ** 2
    else:
        own = probabilities[labels, np.arange(len(labels))]
        distance = np.einsum("ij,ij->j", probabilities, probabilities) - 2 * own + 1
    made = {
        "log_loss": mean(-np.log(np.clip(own, tiny, 1 - tiny)), weights, low=0.0),
        "brier": mean(distance, weights, low=0.0),
        "calibration_error": _calibration_error(labels, probabilities, weights),
    }
    if np.all(np.bincount(labels, minlength=classes) > 0):
        positives = [1] if classes == 2 else range(classes)
        ranked = [
            _areas(labels == k, probabilities[k], weights, orders(at) if orders else None, classes > 2)
            for at, k in enumerate(positives)
        ]
        influence = np.sum([of.influence for of in ranked], axis=0) / len(ranked) if len(ranked) > 1 else ranked[0].influence
        roc, pr = float(np.mean([of.roc for of in ranked])), float(np.mean([of.pr for of in ranked]))
        made["roc_auc"] = normal(roc, float(np.dot(influence, influence)), low=0.0, high=1.0)
        made["pr_auc"] = normal(pr, sum(of.pr_variance for of in ranked) / len(ranked) ** 2, low=0.0, high=1.0)
    return made


class _Areas(NamedTuple):
    """Under the ROC curve, with each row's influence on it (DeLong), and under the precision-recall curve."""

    roc: float
    influence: Floats
    pr: float
    pr_variance: float


def _areas(
    positive: NDArray[np.bool_], scores: Floats, weights: Floats, ascending: NDArray[Any] | None, several: bool
) -> _Areas:
    """`several`: of several classes, whose influences are added row by row; else they stay in the order of the scores."""
    order = np.argsort(-scores) if ascending is None else ascending[::-1]
    ordered, positive, weights = scores[order], positive[order], weights[order]
    plus = weights * positive
    hits, misses = np.cumsum(plus), np.cumsum(weights)
    misses -= hits
    ends = np.append(ordered[1:] != ordered[:-1], True)  # of each run of equal scores
    tied = not ends.all()
    gained, lost = plus, weights - plus
    if tied:
        hits, misses = hits[ends], misses[ends]
        gained, lost = np.diff(hits, prepend=0.0), np.diff(misses, prepend=0.0)
    all_hits, all_misses = float(hits[-1]), float(misses[-1])
    pr = float(np.dot(gained, hits / (hits + misses))) / all_hits
    # Of each run: the share of the other kind that it beats, or is beaten by; ties count half.
    misses -= 0.5 * lost
    hits -= 0.5 * gained
    roc = 1 - float(np.dot(gained, misses)) / (all_hits * all_misses)
    of_plus, of_minus = misses, hits
    of_plus *= -1 / (all_hits * all_misses)
    of_plus += (1 - roc) / all_hits
    of_minus *= 1 / (all_hits * all_misses)
    of_minus -= roc / all_misses
    if tied:
        runs = np.cumsum(ends) - ends
        of_plus, of_minus = of_plus[runs], of_minus[runs]
    influence = np.where(positive, of_plus, of_minus)
    influence *= weights
    if several:
        in_turn = np.empty_like(influence)
        in_turn[order] = influence
        influence = in_turn
    return _Areas(roc, influence, pr, pr * (1 - pr) / effective(plus))


def _calibration_error(labels: NDArray[Any], probabilities: Floats, weights: Floats) -> Estimate:
    """The mean distance, over bins of the highest probability, between it and the share of rows where it was right."""
    sure, highest = probabilities[0], np.zeros(len(labels), np.int64)
    for k in range(1, len(probabilities)):
        np.copyto(highest, k, where=probabilities[k] > sure)
        sure = np.maximum(sure, probabilities[k])
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
