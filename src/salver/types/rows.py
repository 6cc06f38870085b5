"""Rows as a client writes them, checked one by one against a signature, and put together as arrays.

Each request is checked on its own, before its rows are merged with anybody else's. A checked row is a list of values in the
signature's order: numbers for numeric columns (NaN where missing), the value itself for categories and text (None where
missing), nested lists for tensors. Knows nothing of JSON, HTTP or batches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.errors import InputError
from salver.types.checks import FLOAT32_MAX, LARGEST, Refused, array_of, expectation, fits, is_missing
from salver.types.policies import (
    UNKNOWN,
    Flagged,
    FlaggedColumns,
    Flags,
    Noted,
    governed_check_for,
    is_bounded,
    is_governed,
)
from salver.types.signature import Column, Columns, Signature

UNSEEN = -1.0
"""The code of a category that training did not see; a missing one is NaN."""

_NAMED_AT_MOST = 5
_FINITE = frozenset((float, int))

Row = Sequence[Any]


class MatrixColumns(dict[str, Any]):
    """Checked columns that lie side by side in one (rows, columns) float64 array, in the signature's order."""

    matrix: NDArray[np.float64]


class RowChecker:
    """Checks rows against a signature and turns checked rows into arrays.

    `check` takes a list (by position) or a dict (by name, any order) and returns a checked row or raises InputError naming
    the row, the column and what was expected, never the value. A row that a policy has something to say about is Flagged.
    """

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self._names = signature.names
        self._width = len(self._names)
        self._known = frozenset(self._names)
        self._checks = [governed_check_for(column) for column in signature.columns]
        self._notes = any(is_governed(column) for column in signature.columns)
        self._optional = frozenset(c.name for c in signature.columns if c.nullable and c.on_missing != "error")
        self._single_tensor = len(self._names) == 1 and bool(signature.columns[0].shape)
        self._single_scalar = len(self._names) == 1 and not signature.columns[0].shape
        self._coded = [(i, _codes(c)) for i, c in enumerate(signature.columns) if c.dtype == "category"]
        self.all_plain = all(c.dtype in ("float64", "float32") and not c.shape and not is_bounded(c) for c in signature.columns)
        self._float32 = any(c.dtype == "float32" for c in signature.columns)

    def check(self, row: Any, index: int = 0) -> Row:
        """One row as a list in the signature's order. Raises InputError."""
        values, flags = self._ordered(row, index), None
        if isinstance(values, Flagged):
            flags = values.flags
        try:
            checked = [check(value) for check, value in zip(self._checks, values, strict=True)]
        except Refused:
            raise self._explain(values, index) from None
        return self._flagged(checked, flags or {}) if flags or (self._notes and Noted in map(type, checked)) else checked

    def check_plain(self, row: Sequence[float], index: int = 0) -> Row:
        """As `check`, for finite numbers when `all_plain`: only width and float32's range are left to look at."""
        if len(row) != self._width:
            raise self._wrong_width(len(row), index)
        if self._float32 and row and (max(row) > FLOAT32_MAX or min(row) < -FLOAT32_MAX):
            return self.check(list(row), index)
        return row

    def matrix(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        """Checked rows as one (rows, columns) float64 array; categories become codes."""
        if self._coded:
            rows = [self._code(row) for row in rows]
        width, count = len(self._names), len(rows)
        # One flat iterator is read faster than many short lists.
        return np.fromiter(chain.from_iterable(rows), np.float64, count * width).reshape(count, width)

    def columns(self, rows: Sequence[Row]) -> Columns:
        """Checked rows as one array a column: (rows, *shape); categories and text as objects. Raises InputError."""
        made: Columns = {}
        for column, values in zip(self.signature.columns, zip(*rows, strict=True), strict=True):
            try:
                made[column.name] = array_of(column, list(values))
            except ValueError as error:  # each row is of a shape that its column takes, and not all of the same
                raise InputError(
                    f"column '{column.name}': the rows have different shapes; send them in requests of their own",
                    code="wrong_shape",
                    column=column.name,
                ) from error
        return made

    def code(self, columns: Columns) -> NDArray[np.float64]:
        """Arrays by column as one (rows, columns) float64 array; the vectorised twin of `matrix`."""
        if isinstance(columns, MatrixColumns):
            return columns.matrix
        parts: list[NDArray[Any]] = []
        coded = dict(self._coded)
        for i, name in enumerate(self._names):
            values = columns[name]
            if i in coded:
                codes = coded[i]
                values = [math.nan if is_missing(v) else codes.get(v, UNSEEN) for v in values.tolist()]
            parts.append(np.asarray(values, dtype=np.float64))
        return np.stack(parts, axis=1) if parts else np.empty((0, 0))

    def check_columns(self, columns: Columns) -> Columns:
        """Arrays by column, checked as `check` does row by row and cast to the columns' dtypes. Raises InputError."""
        unknown = [name for name in columns if name not in self._known]
        if unknown and self.signature.on_unknown in (None, "error"):
            raise self._unknown(unknown, None)
        missing = [name for name in self._names if name not in columns and name not in self._optional]
        if missing or not columns:
            raise self._missing(missing or self._names, None)
        counts = {len(values) for values in columns.values()}
        if len(counts) > 1:
            raise InputError("the columns have different numbers of rows", code="wrong_shape")
        (count,) = counts
        if self.all_plain and not unknown and (finite := self._finite(columns, count)):
            return finite
        made, flags = dict[str, Any](), dict[int, Flags]()
        for column in self.signature.columns:
            values = columns.get(column.name)
            if values is None:
                values = np.full(count, None, dtype=object)
            made[column.name] = self._check_array(column, values, flags)
        if unknown and self.signature.on_unknown == "warn":
            flags = {row: {**flags.get(row, {}), **UNKNOWN} for row in range(count)}
        if flags:
            made = FlaggedColumns(made)
            made.flags = flags
        return made

    def _finite(self, columns: Columns, count: int) -> Columns | None:
        """Plain columns looked at all together; None where there is one that must be looked at by itself."""
        plain = all(values.ndim == 1 and values.dtype.kind in "fiu" for values in columns.values())
        if not plain or len(columns) != self._width:
            return None
        numbers = np.empty((count, self._width))
        for i, name in enumerate(self._names):
            numbers[:, i] = columns[name]
        if not np.isfinite(numbers).all() or (self._float32 and count and np.abs(numbers).max() > FLOAT32_MAX):
            return None
        made = MatrixColumns(zip(self._names, numbers.T, strict=True))
        made.matrix = numbers
        return made

    def _check_array(self, column: Column, values: NDArray[Any], flags: dict[int, Flags]) -> NDArray[Any]:
        if not fits(column, values.shape[1:]):
            raise self._refusal(column, Refused("wrong_shape", expectation(column)), 0)
        kinds = "iu" if column.dtype.startswith(("int", "uint")) else "fiub"
        if not column.is_number or values.dtype.kind not in kinds or column.dtype == "bool" or is_bounded(column):
            return self._check_each(column, values, flags)
        if kinds == "iu":
            info = np.iinfo(column.dtype)
            if values.size and (int(values.min()) < info.min or int(values.max()) > info.max):
                raise InputError(
                    f"column '{column.name}' has a value outside {column.dtype}'s range", code="wrong_type", column=column.name
                )
            return values.astype(column.dtype)
        numbers = values.astype(np.float64) if values.dtype.kind != "f" else values
        flat = numbers.reshape(len(numbers), -1) if numbers.size else numbers.reshape(len(numbers), 0)
        limit = LARGEST.get(column.dtype, math.inf)
        gone = np.isnan(flat)
        far = np.abs(flat) > limit if limit < math.inf else np.isinf(flat)
        if is_governed(column) and not column.shape and (gone.any() or far.any()):
            return self._check_each(column, numbers, flags)
        for legal, bad, code, expected in (
            (column.nullable, gone, "missing_value", f"{expectation(column)}, never missing"),
            (column.infinite, far, "not_finite", expectation(column)),
        ):
            if not legal and bad.any():
                raise self._refusal(column, Refused(code, expected), int(bad.any(axis=1).argmax()))
        return numbers.astype(np.float64 if not column.shape else column.dtype)

    def _check_each(self, column: Column, values: NDArray[Any], flags: dict[int, Flags]) -> NDArray[Any]:
        """One value after the other, for what is no plain number."""
        check = self._checks[self._names.index(column.name)]
        checked: list[Any] = []
        # A table's true and false are numbers where numbers are wanted; JSON's are not.
        floating = column.dtype.startswith("float") and not column.shape and values.dtype == object
        for row, value in enumerate(values.tolist()):
            try:
                kept = check(float(value) if floating and type(value) is bool else value)
            except Refused as refused:
                raise self._refusal(column, refused, row) from None
            if type(kept) is Noted:
                flags.setdefault(row, {})[column.name] = kept.flag
                kept = kept.value
            checked.append(kept)
        made = array_of(column, checked)
        return made.reshape(values.shape) if column.shape and not len(made) else made  # of no rows, too, the shape is told

    def _flagged(self, checked: list[Any], flags: Flags) -> Flagged:
        row = Flagged(value.value if type(value) is Noted else value for value in checked)
        noted = zip(self._names, checked, strict=True)
        row.flags = {**{name: value.flag for name, value in noted if type(value) is Noted}, **flags}
        return row

    def _ordered(self, row: Any, index: int) -> list[Any]:
        names = self._names
        if isinstance(row, dict):
            named: dict[str, Any] = row
            if len(named) == len(names):
                try:
                    return [named[name] for name in names]
                except KeyError:
                    pass
            unknown = [name for name in named if name not in self._known]
            if unknown and self.signature.on_unknown in (None, "error"):
                raise self._unknown(unknown, index)
            missing = [name for name in names if name not in named and name not in self._optional]
            if missing:
                raise self._missing(missing, index)
            values: list[Any] = [named.get(name) for name in names]
            return self._flagged(values, UNKNOWN) if unknown and self.signature.on_unknown == "warn" else values
        if self._single_tensor:
            return [row]
        if isinstance(row, list):
            listed: list[Any] = row
            if len(listed) != len(names):
                raise self._wrong_width(len(listed), index)
            return listed
        if self._single_scalar:
            return [row]
        raise InputError(
            f"row {index}: expected a list of {len(names)} values or an object by column name",
            code="wrong_type",
            row=index,
            expected=f"a list of {len(names)} values or an object by column name",
        )

    def _explain(self, values: list[Any], index: int) -> InputError:
        for column, check, value in zip(self.signature.columns, self._checks, values, strict=True):
            try:
                check(value)
            except Refused as refused:
                return self._refusal(column, refused, index)
        raise AssertionError("a row was refused and no value of it was")

    def _refusal(self, column: Column, refused: Refused, row: int) -> InputError:
        code, expected = refused.args
        return InputError(
            f"row {row}, column '{column.name}': expected {expected}", code=code, column=column.name, row=row, expected=expected
        )

    def _wrong_width(self, got: int, index: int) -> InputError:
        width = len(self._names)
        return InputError(
            f"row {index} has {got} values, the model takes {width}: {_listed(self._names)}",
            code="wrong_width",
            row=index,
            expected=f"{width} values",
        )

    def _unknown(self, unknown: list[str], index: int | None) -> InputError:
        # The caller's own key is his data: say how many there are and what is known, not what he wrote.
        return InputError(
            f"{'' if index is None else f'row {index}: '}{len(unknown)} unknown column{'s' * (len(unknown) > 1)}; "
            f"the model takes {_listed(self._names)}",
            code="unknown_column",
            row=index,
            expected=_listed(self._names),
        )

    def _missing(self, missing: list[str], index: int | None) -> InputError:
        return InputError(
            f"{'' if index is None else f'row {index}: '}missing column{'s' * (len(missing) > 1)} {_listed(missing)}",
            code="missing_column",
            row=index,
            column=missing[0],
        )

    def _code(self, row: Row) -> Row:
        coded = list(row)
        for i, codes in self._coded:
            value = coded[i]
            coded[i] = math.nan if value is None else codes.get(value, UNSEEN)
        return coded


def are_finite(values: Sequence[Any]) -> bool:
    """Whether they are finite numbers, as most rows' are: their sum is finite only when all of them are."""
    try:
        return _FINITE.issuperset(map(type, values)) and math.isfinite(sum(values))
    except OverflowError:  # a whole number that no float can hold
        return False


def _codes(column: Column) -> dict[Any, float]:
    return {category: float(i) for i, category in enumerate(column.categories or ())}


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_NAMED_AT_MOST])
    return shown if len(names) <= _NAMED_AT_MOST else f"{shown} and {len(names) - _NAMED_AT_MOST} more"
