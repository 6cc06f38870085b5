"""How good answers were, measured by the labels: pure functions of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.types.signature import Columns, Signature

_SMALLEST = float(np.finfo(np.float64).eps)


def metrics(signature: Signature, outputs: Columns, labels: NDArray[Any]) -> dict[str, float]:
    """The metrics that fit the task; `labels` are indices where the prediction has classes, else numbers of its shape."""
    prediction = outputs[signature.prediction.name]
    if signature.prediction.is_multilabel:
        return {"accuracy": float(np.mean((prediction == labels).all(axis=1)))}
    if signature.prediction.classes is not None:
        return classification(prediction, labels, len(signature.prediction.classes), outputs.get("probabilities"))
    return regression(prediction.astype(np.float64), labels.astype(np.float64)) if prediction.dtype.kind in "fiu" else {}


def classification(
    prediction: NDArray[Any], labels: NDArray[Any], classes: int, probabilities: NDArray[Any] | None = None
) -> dict[str, float]:
    """accuracy and f1_macro; with probabilities log_loss, brier, and roc_auc where there are two classes."""
    made = {"accuracy": float(np.mean(prediction == labels)), "f1_macro": _f1_macro(prediction, labels, classes)}
    if probabilities is not None and probabilities.shape == (len(labels), classes):
        rows = np.arange(len(labels))
        shares = probabilities / np.maximum(probabilities.sum(axis=1, keepdims=True), _SMALLEST)
        made["log_loss"] = float(-np.mean(np.log(np.clip(shares[rows, labels], _SMALLEST, 1.0))))
        hit = np.zeros_like(shares)
        hit[rows, labels] = 1.0
        # Of two classes, that of the second's probability, as everywhere: both are off by the same.
        made["brier"] = float(np.mean(np.sum((shares - hit) ** 2, axis=1))) / (2 if classes == 2 else 1)
        if classes == 2 and 0 < labels.sum() < len(labels):
            made["roc_auc"] = roc_auc(labels == 1, probabilities[:, 1])
    return made


def regression(prediction: NDArray[np.float64], labels: NDArray[np.float64]) -> dict[str, float]:
    """mae, rmse and r2; over all outputs where there are several."""
    error = prediction - labels
    spread = float(np.sum((labels - labels.mean(axis=0)) ** 2))
    made = {"mae": float(np.mean(np.abs(error))), "rmse": float(np.sqrt(np.mean(error**2)))}
    return made | {"r2": 1.0 - float(np.sum(error**2)) / spread} if spread else made


def roc_auc(positive: NDArray[np.bool_], scores: NDArray[Any]) -> float:
    """The chance that a positive row has a higher score than a negative one; a tie counts half."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    hits = int(positive.sum())
    return float((ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * (len(scores) - hits)))


def _f1_macro(prediction: NDArray[Any], labels: NDArray[Any], classes: int) -> float:
    scores: list[float] = []
    for k in range(classes):
        both, either = int(np.sum((prediction == k) & (labels == k))), int(np.sum(prediction == k) + np.sum(labels == k))
        if either:
            scores.append(2 * both / either)
    return float(np.mean(scores)) if scores else 0.0
