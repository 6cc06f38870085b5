"""What each kind of column takes, one value at a time. Pure functions of a column."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.types.signature import ANY_SHAPE, Column

FLOAT32_MAX = float(np.finfo(np.float32).max)
LARGEST: dict[str, float] = {"float16": float(np.finfo(np.float16).max), "float32": FLOAT32_MAX}
"""The largest number that a column takes; for others, the largest double."""

Check = Callable[[Any], Any]
"""A value as it was sent → the value as it is kept. Raises Refused."""

_NAN = math.nan
_SPELLED = dict.fromkeys(("NaN", "nan"), _NAN) | {
    **dict.fromkeys(("Infinity", "inf", "+Infinity"), math.inf),
    **dict.fromkeys(("-Infinity", "-inf"), -math.inf),
}


# What an element of a tensor may be.
_ELEMENTS: dict[str, frozenset[type]] = {
    "bool": frozenset((bool,)),
    "int": frozenset((int,)),
    "float": frozenset((int, float, str, type(None))),  # a few strings are numbers
    "string": frozenset((str, type(None))),
    "category": frozenset((str, int, float, bool, type(None))),
}


class Refused(Exception):
    """A value that its column does not take: (code, what was expected)."""


def is_missing(value: Any) -> bool:
    return value is None or value != value


def expectation(column: Column) -> str:
    if column.shape:
        if column.shape == ANY_SHAPE:
            return f"{column.dtype} values of any shape"
        sizes = "×".join("any" if size < 0 else str(size) for size in column.shape)
        return f"{column.dtype} values of shape {sizes}"
    if column.dtype == "category":
        return f"one of {len(column.categories or ())} known categories"
    if column.dtype == "string":
        return "a string"
    if column.dtype == "bool":
        return f"true or false{' or null' if column.nullable else ''}"
    if column.dtype.startswith(("int", "uint")):
        return f"an integer ({column.dtype})"
    finite = "" if column.infinite else "finite "
    return f"a {finite}number{' or null' if column.nullable else ''}"


def check_for(column: Column) -> Check:
    if column.shape:
        return _tensor_check(column)
    if column.dtype == "category":
        return _category_check(column)
    if column.dtype == "string":
        return _string_check(column)
    if column.dtype == "bool":
        return _bool_check(column)
    if column.dtype.startswith(("int", "uint")):
        return _integer_check(column)
    return _number_check(column)


def _number_check(column: Column) -> Check:
    nullable, infinite, expected = column.nullable, column.infinite, expectation(column)
    limit = LARGEST.get(column.dtype, math.inf)

    def check(value: Any) -> float:
        kind = type(value)
        if kind is int:
            try:
                value = float(value)
            except OverflowError:
                raise Refused("not_finite", expected) from None
        elif kind is not float:
            if value is None:
                value = _NAN
            elif kind is str and value in _SPELLED:
                value = _SPELLED[value]
            else:
                raise Refused("wrong_type", expected)
        if -limit <= value <= limit and value not in (math.inf, -math.inf):
            return value
        if value != value:
            if nullable:
                return value
            raise Refused("missing_value", f"{expected}, never missing")
        if infinite:
            return value
        raise Refused("not_finite", expected)

    return check


def _integer_check(column: Column) -> Check:
    info, expected = np.iinfo(column.dtype), expectation(column)
    low, high = int(info.min), int(info.max)

    def check(value: Any) -> int:
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int:
            raise Refused("wrong_type" if value is not None else "missing_value", expected)
        if not low <= value <= high:
            raise Refused("wrong_type", expected)
        return value

    return check


def _bool_check(column: Column) -> Check:
    nullable, expected = column.nullable, expectation(column)

    def check(value: Any) -> bool | float:
        if type(value) is bool:
            return value
        if type(value) in (int, float) and value in (0, 1):
            return bool(value)
        if nullable and is_missing(value):
            return _NAN
        raise Refused("wrong_type" if value is not None else "missing_value", expected)

    return check


def _string_check(column: Column) -> Check:
    nullable, expected = column.nullable, expectation(column)

    def check(value: Any) -> str | None:
        if type(value) is str:
            return value
        if nullable and is_missing(value):
            return None
        raise Refused("missing_value" if value is None else "wrong_type", expected)

    return check


def _category_check(column: Column) -> Check:
    expected = expectation(column)
    known = {category: category for category in column.categories or ()}
    kinds = {type(category) for category in known}
    if kinds & {int, float}:
        kinds |= {int, float}
    nullable, unseen = column.nullable, column.unseen

    def check(value: Any) -> Any:
        if value is None or value != value:
            if nullable:
                return None
            raise Refused("missing_value", f"{expected}, never missing")
        if type(value) not in kinds:
            if kinds:
                raise Refused("wrong_type", expected)
            if type(value) not in (str, int, float, bool):
                raise Refused("wrong_type", expected)
        if value in known:
            return known[value]  # 3 where 3.0 was sent
        if unseen:
            return value
        raise Refused("unseen_category", expected)

    return check


def _tensor_check(column: Column) -> Check:
    expected, taken = expectation(column), _ELEMENTS[_family(column)]
    check_element = check_for(Column(column.name, column.dtype, (), column.nullable, column.infinite))
    low, high = _bounds(column)

    def check(value: Any) -> Any:
        shape, elements = _flattened(value)
        if not taken.issuperset(map(type, elements)):
            raise Refused("wrong_type", expected)
        if not fits(column, shape):
            raise Refused("wrong_shape", expected)
        if not _are_within(elements, low, high):
            try:
                for element in elements:
                    check_element(element)
            except Refused as refused:
                raise Refused(refused.args[0], expected) from None
        return value

    return check


def _family(column: Column) -> str:
    return column.dtype.rstrip("0123456789").removeprefix("u")


def _bounds(column: Column) -> tuple[float, float]:
    """Numbers between which a column takes all; none where it takes no numbers."""
    if _family(column) == "int":
        info = np.iinfo(column.dtype)
        return int(info.min), int(info.max)
    limit = LARGEST.get(column.dtype, sys.float_info.max)
    return (-limit, limit) if _family(column) == "float" else (0, 1)


def _are_within(elements: list[Any], low: float, high: float) -> bool:
    """Whether all are numbers between these. Many are compared at once by their extremes and by their sum, which NaN spoils."""
    try:
        return not elements or (low <= min(elements) and max(elements) <= high and not math.isnan(sum(elements)))
    except (TypeError, OverflowError):  # nulls and strings; a whole number that no float can hold
        return False


def _flattened(value: Any) -> tuple[tuple[int, ...], list[Any]]:
    """The shape of nested lists, and what is in them in row-major order. Where they are ragged, lists are left in that."""
    shape: list[int] = []
    elements: list[Any] = [value.tolist() if isinstance(value, np.ndarray) else value]
    while elements and all(isinstance(part, list | tuple) for part in elements):
        sizes = set(map(len, elements))
        if len(sizes) > 1:
            break
        shape.append(sizes.pop())
        elements = list(chain.from_iterable(elements))
    return tuple(shape), elements


def fits(column: Column, shape: tuple[int, ...]) -> bool:
    if column.shape == ANY_SHAPE:
        return True
    return len(shape) == len(column.shape) and all(want in (-1, got) for want, got in zip(column.shape, shape, strict=True))


def _numbers(column: Column, values: NDArray[Any]) -> NDArray[Any]:
    """A tensor with nulls or spelled numbers in it, value by value. Raises Refused."""
    check = _number_check(Column(column.name, "float64", (), column.nullable, column.infinite))
    return np.array([check(value) for value in values.ravel().tolist()]).reshape(values.shape)


def array_dtype(column: Column) -> Any:
    """Of the arrays that hold a column's single values: numbers in double precision, as are true and false with gaps."""
    if not column.is_number:
        return object
    return np.float64 if column.dtype == "float32" or (column.dtype == "bool" and column.nullable) else column.dtype


def array_of(column: Column, values: list[Any]) -> NDArray[Any]:
    if column.is_number:
        if not column.shape:
            return np.array(values, dtype=array_dtype(column))
        made = np.array(values)
        if made.dtype.kind not in "fiub" and made.size:
            made = _numbers(column, np.array(values, dtype=object))
        return made.astype(column.dtype)
    if column.shape:
        made = np.array(values, dtype=object)
        if list in set(map(type, made.ravel().tolist())):
            raise ValueError("the values have different shapes")
        return made
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made
