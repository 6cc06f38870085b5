"""Landmarks of models that say nothing of themselves but bring examples: PyTorch's programs and classes of the user's own."""

from __future__ import annotations

from typing import Any

import numpy as np

from salver.lower.rows import Landmarks, landmarks_of

_VALUES = 4_000  # looked at, of each column


@landmarks_of("salver", "TorchProgram", "OwnModel")
def of_examples(model: Any, landmarks: Landmarks) -> None:
    """Numbers like the examples'; whole numbers only between them, since they may be places in a table."""
    for i, (column, values) in enumerate(zip(model.signature.columns, model.examples, strict=False)):
        if column.shape:
            landmarks.shapes[i] = values.shape[1:]
        if column.is_number and values.size:
            landmarks.add(i, values.ravel()[:_VALUES])
            if column.dtype.startswith(("int", "uint")):
                landmarks.limit(i, float(np.min(values)), float(np.max(values)))
