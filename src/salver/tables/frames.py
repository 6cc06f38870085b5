"""The columns of pandas, polars and Arrow tables. Nothing here imports them: the caller's own object brings its library."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.tables.values import array_of_numpy, array_of_values
from salver.types.signature import Label


class PandasTable:
    """A pandas DataFrame."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.names = [str(name) for name in frame.columns]
        # 0, 1, 2, … are the names that pandas gives to columns without any.
        self.nameless = list(frame.columns) == list(range(len(frame.columns)))

    def arrays(self) -> Iterator[NDArray[Any]]:
        for i, name in enumerate(self.names):
            series = self._frame.iloc[:, i]
            if series.dtype.kind in "fiubmM" and isinstance(series.dtype, np.dtype):
                yield array_of_numpy(name, series.to_numpy())
            else:
                gone = series.isna().to_numpy()
                values = series.astype(object).tolist()
                yield array_of_values(name, [None if out else value for value, out in zip(values, gone, strict=True)])

    def categories(self) -> dict[str, tuple[Label, ...]]:
        series = ((name, self._frame.iloc[:, i]) for i, name in enumerate(self.names))
        return {name: tuple(s.cat.categories.tolist()) for name, s in series if type(s.dtype).__name__ == "CategoricalDtype"}


class PolarsTable:
    """A polars DataFrame."""

    nameless = False

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.names: list[str] = list(frame.columns)

    def arrays(self) -> Iterator[NDArray[Any]]:
        for name in self.names:
            series = self._frame[name]
            if series.dtype.is_numeric() and not series.dtype.is_decimal() and not series.null_count():
                yield array_of_numpy(name, series.to_numpy())
            else:
                yield array_of_values(name, series.to_list())

    def categories(self) -> dict[str, tuple[Label, ...]]:
        made: dict[str, tuple[Label, ...]] = {}
        for name in self.names:
            series = self._frame[name]
            kind = type(series.dtype).__name__
            if kind == "Enum":
                made[name] = tuple(series.dtype.categories.to_list())
            elif kind == "Categorical":
                # Its categories are shared with other tables: only those that occur are this column's own.
                made[name] = tuple(series.drop_nulls().unique().cast(str).sort().to_list())
        return made


class ArrowTable:
    """A pyarrow Table."""

    nameless = False

    def __init__(self, table: Any) -> None:
        self._table = table
        self.names: list[str] = list(table.column_names)

    def arrays(self) -> Iterator[NDArray[Any]]:
        for name, column in zip(self.names, self._table.columns, strict=True):
            kind = str(column.type)
            if kind in _ARROW_NUMBERS and (not column.null_count or kind in _ARROW_FLOATS):
                yield array_of_numpy(name, column.to_numpy())  # NaN where one is missing
            else:
                yield array_of_values(name, column.to_pylist())

    def categories(self) -> dict[str, tuple[Label, ...]]:
        made: dict[str, tuple[Label, ...]] = {}
        for name, column in zip(self.names, self._table.columns, strict=True):
            if hasattr(column.type, "index_type") and column.num_chunks:
                made[name] = tuple(column.unify_dictionaries().chunk(0).dictionary.to_pylist())
        return made


_ARROW_FLOATS = frozenset(("halffloat", "float", "double"))
_ARROW_NUMBERS = _ARROW_FLOATS | {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
