"""How good answers were on labelled rows, with intervals: every metric that fits the task. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.monitors.confusion import Confusion
from salver.monitors.estimate import Estimate
from salver.monitors.ranking import of_numbers, of_probabilities
from salver.types.signature import Columns, Signature


def performance(signature: Signature, outputs: Columns, labels: NDArray[Any]) -> dict[str, Estimate]:
    """`outputs` and `labels` are as the model gives them: indices where it has classes. Empty for several values a row."""
    prediction, classes = outputs[signature.prediction.name], signature.prediction.classes
    if prediction.ndim > 1 or labels.ndim > 1 or not len(labels):
        return {}
    weights = np.ones(len(labels))
    if classes is None:
        if prediction.dtype.kind not in "fiu" or labels.dtype.kind not in "fiu":
            return {}
        return of_numbers(labels.astype(np.float64), prediction.astype(np.float64), weights)
    made = Confusion(labels, prediction, weights, len(classes)).estimates()
    shares = outputs.get("probabilities")
    if shares is not None and shares.shape == (len(labels), len(classes)) and np.isfinite(shares).all():
        made |= of_probabilities(labels, np.ascontiguousarray(shares.T, dtype=np.float64), weights)
    return made
