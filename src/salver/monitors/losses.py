"""Errors of a regressor before labels, from whole rows: direct loss estimation (DLE), a model of the error.

A monitor keeps counts and no rows, and estimates from the size of the prediction alone (`calibration.Errors`). With two
tables at hand a boosted model sees more: inputs that moved to where errors are smaller. It needs scikit-learn.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from salver import tables
from salver.errors import InputError
from salver.monitors.bins import spelled
from salver.monitors.significance import Floats
from salver.types.checks import is_missing


class Losses:
    """Learns |e| and e² on labelled reference rows: any table, with its predictions and labels. Raises InputError for what is
    no table."""

    def __init__(self, reference: Any, predictions: ArrayLike, labels: ArrayLike) -> None:
        from sklearn.ensemble import HistGradientBoostingRegressor

        columns = tables.read(reference)
        self._codes = {name: _codes(array) for name, array in columns.items() if array.ndim == 1}
        rows, error = self._rows(columns, predictions), np.asarray(predictions, np.float64) - np.asarray(labels, np.float64)
        self._absolute, self._squared = (
            HistGradientBoostingRegressor(random_state=0).fit(rows, loss) for loss in (np.abs(error), error**2)
        )

    def estimate(self, current: Any, predictions: ArrayLike) -> dict[str, float]:
        """mae, mse and rmse of rows without labels. Raises InputError where a column is missing."""
        rows = self._rows(tables.read(current), predictions)
        squared = max(0.0, float(self._squared.predict(rows).mean()))
        return {"mae": float(self._absolute.predict(rows).mean()), "mse": squared, "rmse": math.sqrt(squared)}

    def _rows(self, columns: dict[str, NDArray[Any]], predictions: ArrayLike) -> Floats:
        for name in self._codes:
            if name not in columns:
                raise InputError(f"there is no column '{name}', which the reference has", code="unknown_column")
        parts = [_numbers(columns[name], codes) for name, codes in self._codes.items()]
        return np.stack([*parts, np.asarray(predictions, np.float64)], axis=1)


def _codes(array: NDArray[Any]) -> dict[str, int] | None:
    """A number for each value of a column that has no numbers."""
    if array.dtype.kind in "fiu":
        return None
    values = sorted({spelled(value) for value in array.tolist() if not is_missing(value)})
    return {value: code for code, value in enumerate(values)}


def _numbers(array: NDArray[Any], codes: dict[str, int] | None) -> Floats:
    if codes is None:
        return array.astype(np.float64)
    return np.array([codes.get(spelled(value), math.nan) for value in array.tolist()], np.float64)
