"""Answers in the kind in which they were asked: a DataFrame for a DataFrame, a list for a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from salver.tables.table import frame_of
from salver.types.signature import Columns, rows_of


def like(data: Any, columns: Columns) -> Any:
    """Arrays by column as the natural counterpart of `data`.

    One column becomes a vector (Series, Arrow array, numpy array, list, or the value for a single row), several become a table
    of the kind of `data`: a DataFrame with its index, an Arrow table, an array of (rows, columns), a list of rows.
    """
    kind, library = type(data).__name__, type(data).__module__.partition(".")[0]
    if hasattr(data, "iloc"):
        return _pandas(data, columns)
    if library == "polars":
        return _polars(columns)
    if library == "pyarrow" or (kind != "ndarray" and frame_of(data) is not None):
        return _arrow(columns)
    if isinstance(data, np.ndarray) or hasattr(data, "toarray"):
        arrays = list(columns.values())
        return arrays[0] if len(arrays) == 1 else np.stack(arrays, axis=1)
    if isinstance(data, Mapping):
        mapping = cast("Mapping[str, Any]", data)
        rows = _rows(columns, named=True)
        return rows[0] if len(rows) == 1 and not any(isinstance(v, list | np.ndarray) for v in mapping.values()) else rows
    listed = cast("list[Any]", data)
    named = bool(listed) and isinstance(listed[0], Mapping)
    rows = _rows(columns, named)
    alone = len(rows) == 1 and len(listed) != 1
    return rows[0] if alone else rows


def _rows(columns: Columns, named: bool) -> list[Any]:
    values = {name: array.tolist() for name, array in columns.items()}
    if len(values) == 1:
        return next(iter(values.values()))
    if named:
        return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    return [list(row) for row in zip(*values.values(), strict=True)]


def _pandas(data: Any, columns: Columns) -> Any:
    import pandas

    # One row of a DataFrame is a Series whose index has its columns' names.
    index = data.index if len(data) == rows_of(columns) else None
    if len(columns) == 1:
        ((name, array),) = columns.items()
        if array.ndim == 1:
            return pandas.Series(array, index=index, name=name)
    return pandas.DataFrame(_flat(columns), index=index)


def _polars(columns: Columns) -> Any:
    import polars

    if len(columns) == 1:
        ((name, array),) = columns.items()
        return polars.Series(name, array if array.dtype != object else array.tolist())
    return polars.DataFrame({name: array if array.dtype != object else array.tolist() for name, array in columns.items()})


def _arrow(columns: Columns) -> Any:
    import pyarrow

    made = {name: pyarrow.array(array if array.ndim == 1 else array.tolist()) for name, array in columns.items()}
    return next(iter(made.values())) if len(made) == 1 else pyarrow.table(made)


def _flat(columns: Columns) -> Columns:
    """With an output of several values a row as a column for each."""
    made: Columns = {}
    for name, array in columns.items():
        if array.ndim == 1:
            made[name] = array
        else:
            parts = array.reshape(len(array), -1)
            made.update({f"{name}_{k}": parts[:, k] for k in range(parts.shape[1])})
    return made
