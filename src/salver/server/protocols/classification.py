"""Triton's classification extension: of an output's numbers the largest, each as "value:index" or "value:index:label". Pure.

Source: server/docs/protocol/extension_classification.md of Triton Inference Server.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from salver.errors import InputError
from salver.server.protocols.tensors import Tensor


def check(name: str, datatype: str, count: int) -> None:
    """Raises InputError where an output of this datatype has no `count` largest elements."""
    if count < 1:
        raise InputError(f"output '{name}': 'classification' is how many classes are wanted, at least 1", code="invalid_body")
    if datatype in ("BYTES", "BOOL"):
        raise InputError(f"output '{name}' has no numbers to choose the largest of", code="invalid_body")


def largest(tensor: Tensor, count: int, labels: Sequence[Any]) -> Tensor:
    """The `count` largest elements of each row, or all where it has fewer, as BYTES of shape (rows, elements).

    The largest is the first, and of equal ones the one with the smaller index. `labels` has one for each element, or is empty.
    """
    values = tensor.array.reshape(len(tensor.array), -1)
    order = np.argsort(-values.astype(np.float64), axis=1, kind="stable")[:, :count]
    told = [[_told(row[i], i, labels) for i in chosen] for row, chosen in zip(values.tolist(), order.tolist(), strict=True)]
    return Tensor(tensor.name, "BYTES", np.array(told, dtype=object).reshape(order.shape))


def _told(value: float, index: int, labels: Sequence[Any]) -> str:
    said = f"{value:f}:{index}" if isinstance(value, float) else f"{value}:{index}"
    return f"{said}:{labels[index]}" if labels else said
