"""Whatever holds rows → arrays by column, under the names that a model's signature has.

A column is found by its name, in any order. Data without names (arrays, lists) go by position, and so does a table with other
names when the model was trained without any, if the width fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from salver.errors import InputError
from salver.tables.frames import ArrowTable, PandasTable, PolarsTable
from salver.tables.values import array_of_numpy, array_of_values, objects
from salver.types.signature import Columns, Label, Signature


class Table(Protocol):
    """Named columns of some library."""

    names: list[str]
    nameless: bool

    def arrays(self) -> Any: ...
    def categories(self) -> dict[str, tuple[Label, ...]]: ...


def read(data: Any, signature: Signature | None = None) -> Columns:
    """The columns of a table: arrays of (rows,) each, or (rows, *shape) for tensors; text and categories as objects.

    `data` is a pandas, polars or Arrow table (or anything with `__arrow_c_stream__`), a numpy array of (rows, columns) or one
    row of it, a list of dicts, of lists or of values, a dict of one row, or a dict of columns. With a `signature`, data
    without names get its names; else they are x0, x1, …. Raises InputError for what is no table and for the wrong width.
    """
    table = frame_of(data)
    if table is not None:
        read = dict(zip(table.names, table.arrays(), strict=False))
        if len(read) < len(table.names):
            raise InputError("two columns have the same name", code="unknown_column")
        return bound(read, signature, table.nameless)
    if _is_series(data):
        return _series(data, signature)
    if hasattr(data, "toarray"):  # a sparse matrix
        data = data.toarray()
    if isinstance(data, np.ndarray):
        return _array(cast("NDArray[Any]", data), signature)
    if isinstance(data, Mapping):
        return bound(_mapping(cast("Mapping[Any, Any]", data), signature), signature, nameless=False)
    if isinstance(data, list | tuple):
        return _listed(list(cast("list[Any]", data)), signature)
    raise InputError(
        f"a {type(data).__name__} is no table; give a DataFrame, an Arrow table, an array, a dict or a list of rows",
        code="wrong_type",
    )


def pick(data: Any, rows: list[int]) -> Any:
    """Those rows of a table, as a table of the same kind."""
    if hasattr(data, "iloc"):
        return data.iloc[rows]
    if hasattr(data, "take") and type(data).__module__.partition(".")[0] == "pyarrow":
        return data.take(rows)
    if isinstance(data, list | tuple):
        return [data[row] for row in rows]
    if isinstance(data, Mapping):
        return {name: pick(values, rows) for name, values in cast("Mapping[str, Any]", data).items()}
    return data[rows]


def categories(data: Any) -> dict[str, tuple[Label, ...]]:
    """The categories that a table itself declares, by column: pandas' Categorical, polars' Enum, Arrow's dictionaries."""
    table = frame_of(data)
    return {} if table is None else table.categories()


def frame_of(data: Any) -> Table | None:
    """A table of pandas, polars or Arrow; None for anything else. Raises InputError where pyarrow is needed and missing."""
    kind, library = type(data).__name__, type(data).__module__.partition(".")[0]
    if kind.endswith("DataFrame") and hasattr(data, "iloc"):
        return PandasTable(data)
    if kind == "LazyFrame" and library == "polars":
        data, kind = data.collect(), "DataFrame"
    if kind == "DataFrame" and library == "polars":
        return PolarsTable(data)
    if library == "pyarrow" and kind == "Table":
        return ArrowTable(data)
    if (library == "pyarrow" and kind == "RecordBatch") or (hasattr(data, "__arrow_c_stream__") and not _is_series(data)):
        return ArrowTable(_arrow(data))
    return None


def _arrow(data: Any) -> Any:
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise InputError(
            f"to read a {type(data).__name__}, install pyarrow: pip install 'salver[parquet]'", code="wrong_type"
        ) from error
    return pyarrow.table(data)


def _is_series(data: Any) -> bool:
    return type(data).__name__ in ("Series", "ChunkedArray") and hasattr(data, "to_numpy")


def _series(data: Any, signature: Signature | None) -> Columns:
    """One column, or a row of a DataFrame, whose index has the columns' names."""
    if hasattr(data, "iloc"):
        index = [str(label) for label in data.index]
        if signature and len(signature.columns) > 1 and set(index) == set(signature.names):
            return read(dict(zip(index, data.tolist(), strict=True)), signature)
        (values,) = PandasTable(data.to_frame()).arrays()
    else:
        values = array_of_values("", data.to_list() if hasattr(data, "to_list") else data.to_pylist())
    return bound({"x0": values}, signature, nameless=True)


def _array(array: NDArray[Any], signature: Signature | None) -> Columns:
    if array.dtype.names:
        return bound({name: array_of_numpy(name, array[name]) for name in array.dtype.names}, signature, nameless=False)
    columns = signature.columns if signature else ()
    if len(columns) == 1 and columns[0].shape:
        rank = len(columns[0].shape)
        return {columns[0].name: array[None] if array.ndim == rank else array}
    if array.ndim == 1:
        if len(columns) > 1 and len(array) != len(columns):
            raise _wrong_width(len(array), len(columns))
        array = array[None] if len(columns) > 1 else array[:, None]
    if array.ndim != 2:
        raise InputError(f"an array of {array.ndim} dimensions is no table of (rows, columns)", code="wrong_shape")
    return bound({f"x{i}": array_of_numpy(f"x{i}", array[:, i]) for i in range(array.shape[1])}, signature, nameless=True)


def _mapping(data: Mapping[Any, Any], signature: Signature | None) -> Columns:
    named = {str(name): value for name, value in data.items()}
    ranks = {column.name: len(column.shape) for column in signature.columns} if signature else {}
    if named and all(_rank(value) == ranks.get(name, 0) + 1 for name, value in named.items()):
        return {name: _column(name, value) for name, value in named.items()}
    return {name: array_of_values(name, [value]) for name, value in named.items()}


def _rank(value: Any) -> int:
    """How many axes a value has: 0 for a scalar."""
    if isinstance(value, np.ndarray) or _is_series(value):
        return int(value.ndim)
    rank = 0
    while isinstance(value, list | tuple):
        rank, value = rank + 1, cast("list[Any]", value)[0] if value else None
    return rank


def _column(name: str, value: Any) -> NDArray[Any]:
    if _is_series(value):
        return _series(value, None)["x0"]
    return array_of_numpy(name, value) if isinstance(value, np.ndarray) else array_of_values(name, list(value))


def _listed(rows: list[Any], signature: Signature | None) -> Columns:
    if rows and all(isinstance(row, Mapping) for row in rows):
        names = list(dict.fromkeys(str(name) for row in rows for name in row))
        made = {name: array_of_values(name, [row.get(name) for row in rows]) for name in names}
        return bound(made, signature, nameless=False)
    if signature and len(signature.columns) == 1 and signature.columns[0].shape:
        return _array(np.array(rows), signature)
    if not rows:
        return {name: objects([]) for name in signature.names} if signature else {}
    if not all(isinstance(row, list | tuple | np.ndarray) for row in rows):
        one = signature is not None and len(signature.columns) > 1
        rows = [rows] if one else [[value] for value in rows]
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        raise InputError("the rows have different numbers of values", code="wrong_width")
    columns = zip(*rows, strict=True)
    made = {f"x{i}": array_of_values(f"x{i}", list(values)) for i, values in enumerate(columns)}
    return bound(made, signature, nameless=True)


def bound(columns: Columns, signature: Signature | None, nameless: bool) -> Columns:
    """The columns under the signature's names where theirs mean nothing. Raises InputError for the wrong width."""
    if signature is None:
        return columns if not nameless else {f"x{i}": array for i, array in enumerate(columns.values())}
    names = signature.names
    if not nameless and (signature.named or set(columns) & set(names)):
        return columns  # what is missing or unknown is said by whoever checks them
    if len(columns) != len(names):
        raise _wrong_width(len(columns), len(names))
    return dict(zip(names, columns.values(), strict=True))


def _wrong_width(got: int, width: int) -> InputError:
    return InputError(f"the table has {got} columns, the model takes {width}", code="wrong_width", expected=f"{width} columns")
