"""Python values of one column → an array. The one place that says what becomes of a date, a decimal or a missing value.

| values | become |
|---|---|
| numbers, none missing | their own type (int64, float64, …) |
| whole numbers, some missing | float64 with NaN; objects with None when one of them is beyond ±2^53 |
| decimals | float64 |
| true and false | bool; objects with None when some are missing |
| text | objects, None where missing |
| dates and times | text as ISO 8601 writes it |
| spans of time | float64 seconds |
| lists and arrays of one shape | an array of (rows, *shape) |
"""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.errors import InputError

_EXACT = 2**53
_NUMBERS = frozenset((int, float))


def array_of_values(name: str, values: list[Any]) -> NDArray[Any]:
    """One column's values, None or NaN where missing, as an array. Raises InputError (`wrong_type`, `wrong_shape`)."""
    kinds = {type(value) for value in values}
    if not kinds <= {int, float, bool, str, type(None)}:
        values = [_plain(name, value) for value in values]
        kinds = {type(value) for value in values}
    missing = type(None) in kinds or any(value != value for value in values if type(value) is float)
    kinds -= {type(None)}
    if list in kinds:
        return _tensor(name, values)
    if kinds <= _NUMBERS:
        return _numbers(values, missing)
    if kinds == {bool} and not missing:
        return np.array(values, dtype=bool)
    return objects([None if value is None or value != value else value for value in values])


def objects(values: list[Any]) -> NDArray[Any]:
    """A one-dimensional array of Python objects."""
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


def array_of_numpy(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """A column that is a numpy array already: numbers stay as they are, the rest goes value by value. Raises InputError."""
    kind = array.dtype.kind
    if kind in "fiub":
        return array
    if kind == "M":
        array = array.astype("datetime64[us]")
    elif kind == "m":
        array = array.astype("timedelta64[us]")
    elif kind not in "OUST":
        raise InputError(
            f"column '{name}' holds {array.dtype.name} values, which no model takes", code="wrong_type", column=name
        )
    return array_of_values(name, array.tolist())


def _numbers(values: list[Any], missing: bool) -> NDArray[Any]:
    whole = [value for value in values if type(value) is int]
    large = any(not -_EXACT <= value <= _EXACT for value in whole)
    if large and (missing or len(whole) < len(values)):
        return objects([None if value is None or value != value else value for value in values])
    if large and not all(-(2**63) <= value < 2**63 for value in whole):
        return np.array(values, dtype=np.uint64) if all(0 <= value < 2**64 for value in whole) else objects(values)
    if whole and len(whole) == len(values):
        return np.array(values, dtype=np.int64)
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def _plain(name: str, value: Any) -> Any:
    """A value as one of None, bool, int, float, str or list. Raises InputError."""
    if value is None or isinstance(value, bool | int | float | str):
        return _builtin(value)
    if type(value).__name__ in ("NAType", "NaTType"):  # pandas' own missing values
        return None
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, datetime | date | time):
        return (value.to_pydatetime(warn=False) if hasattr(value, "to_pydatetime") else value).isoformat()  # type: ignore[union-attr]
    if isinstance(value, np.ndarray | list | tuple):
        return value.tolist() if isinstance(value, np.ndarray) else list(value)
    if isinstance(value, np.generic):
        return _plain(name, value.item())
    raise InputError(
        f"column '{name}' holds values of type {type(value).__name__}, which no model takes", code="wrong_type", column=name
    )


def _builtin(value: Any) -> Any:
    """Without the subclass: numpy's float64 is a float, an enumeration's member may be a str."""
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return value if type(value) is kind else kind(value)
    return value


def _tensor(name: str, values: list[Any]) -> NDArray[Any]:
    try:
        return np.array(values)
    except ValueError:
        raise InputError(f"column '{name}' holds lists of different shapes", code="wrong_shape", column=name) from None
