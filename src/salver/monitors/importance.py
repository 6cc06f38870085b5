"""How much a model's answers hang on each of its columns, by shuffling one at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from salver.types.signature import Columns, Signature, rows_of

ROWS = 1000
"""Enough to put columns in order; each column costs as many predictions."""
_SEED = 0


def importance(signature: Signature, predict: Callable[[Columns], Columns], columns: Columns) -> dict[str, float]:
    """By column: the share of labels that change when it is shuffled, or the mean change of a number over its deviation.

    With probabilities, their mean total variation instead of the share of labels: it also sees changes that flip none. Needs
    no labels (Breiman's permutation importance, of the answer instead of the loss).
    """
    count = min(rows_of(columns), ROWS)
    some = {name: array[:count] for name, array in columns.items()}
    draw = np.random.default_rng(_SEED)
    usual = predict(some)
    made: dict[str, float] = {}
    for column in signature.columns:
        if not column.shape:
            shuffled = {**some, column.name: some[column.name][draw.permutation(count)]}
            made[column.name] = _moved(signature, usual, predict(shuffled))
    return made


def _moved(signature: Signature, usual: Columns, shuffled: Columns) -> float:
    if "probabilities" in usual and usual["probabilities"].ndim == 2:
        return float(np.abs(usual["probabilities"] - shuffled["probabilities"]).sum(axis=1).mean()) / 2
    before, after = usual[signature.prediction.name], shuffled[signature.prediction.name]
    if signature.prediction.classes is None and before.dtype.kind == "f":
        spread = float(np.std(before))
        return float(np.mean(np.abs(before - after))) / spread if spread else 0.0
    different = [one != other for one, other in zip(before.tolist(), after.tolist(), strict=True)]
    return float(np.mean(different))
