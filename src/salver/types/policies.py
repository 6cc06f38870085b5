"""What becomes of a value that does not fit its column: by the column's policies it is refused, let through or left out.

A value that is let through or left out is noted, and the flag goes into the log with its row.
"""

from __future__ import annotations

from typing import Any

from salver.types.checks import Check, Refused, check_for, expectation, is_missing
from salver.types.signature import Column, Columns

Flags = dict[str, str]
"""What was noted about a row: column → "missing", "unseen", "type" or "out_of_range"; "*" → "unknown" for columns too many."""

UNKNOWN = {"*": "unknown"}

_SPELLED = {"true": True, "false": False}


class Noted:
    """A value that was kept although something is to be said about it."""

    __slots__ = ("flag", "value")

    def __init__(self, value: Any, flag: str) -> None:
        self.value = value
        self.flag = flag


class Flagged(list[Any]):
    """A checked row with something to say about it."""

    flags: Flags


class FlaggedColumns(dict[str, Any]):
    """Checked arrays by column with something to say about some rows, by their number."""

    flags: dict[int, Flags]


def flags_of(columns: Columns) -> dict[int, Flags]:
    """What was noted when these arrays were checked, by the number of the row."""
    return columns.flags if isinstance(columns, FlaggedColumns) else {}


def flag_rows(rows: list[Any], columns: Columns) -> list[Any]:
    """The rows of checked arrays by column, those flagged that were when the arrays were checked."""
    for at, flags in flags_of(columns).items():
        rows[at] = flagged = Flagged(rows[at])
        flagged.flags = flags
    return rows


def is_governed(column: Column) -> bool:
    """Whether the column's policies change what its plain check says. A warning about a range is given elsewhere."""
    policies = (column.on_missing, column.on_unseen, column.on_wrong_type)
    return any(policies) or is_bounded(column) or bool(column.unseen and column.categories)


def is_bounded(column: Column) -> bool:
    """Whether a number outside of the range is refused or left out."""
    return column.has_range and column.on_out_of_range in ("error", "null")


def governed_check_for(column: Column) -> Check:
    """The check of a column with its policies: gives the value, or a Noted one. Raises Refused."""
    return Governed(column) if is_governed(column) else check_for(column)


class Governed:
    """A check and the policies around it."""

    def __init__(self, column: Column) -> None:
        self._column = column
        self._check = check_for(column)
        self._known = frozenset(column.categories) if column.unseen and column.categories else None
        self._bounded = is_bounded(column)
        self._low = float("-inf") if column.low is None else column.low
        self._high = float("inf") if column.high is None else column.high

    def __call__(self, value: Any) -> Any:
        try:
            kept = self._check(value)
        except Refused as refused:
            return self._forgiven(value, refused)
        column = self._column
        if column.shape:
            return kept
        if is_missing(kept):
            if column.on_missing == "error":
                raise Refused("missing_value", f"{expectation(column)}, never missing")
            return Noted(kept, "missing") if column.on_missing == "warn" else kept
        if self._known is not None and kept not in self._known:
            return self._by(column.on_unseen or "warn", kept, "unseen", Refused("unseen_category", expectation(column)))
        if self._bounded and not self._low <= kept <= self._high:
            refused = Refused("out_of_range", f"a number from {self._low:g} to {self._high:g}")
            return self._by(column.on_out_of_range, kept, "out_of_range", refused)
        return kept

    def _by(self, policy: str | None, kept: Any, flag: str, refused: Refused) -> Any:
        if policy == "error":
            raise refused
        return Noted(self._check(None) if policy == "null" else kept, flag)

    def _forgiven(self, value: Any, refused: Refused) -> Any:
        code, column = refused.args[0], self._column
        if code == "unseen_category" and column.on_unseen == "null" and column.nullable:
            return Noted(self._check(None), "unseen")
        if code in ("wrong_type", "not_finite") and column.on_wrong_type == "null" and column.nullable:
            return Noted(self._check(None), "type")
        if code == "wrong_type" and column.on_wrong_type == "warn" and not column.shape:
            return Noted(self._check(converted(column, value)), "type")
        raise refused


def converted(column: Column, value: Any) -> Any:
    """A value of another type as one of the column's, where there is no doubt about it; else the value itself."""
    if column.dtype == "string" or _is_text(column):
        return str(value) if isinstance(value, int | float) else value
    if isinstance(value, bool):
        return int(value)
    if not isinstance(value, str):
        return value
    if value.lower() in _SPELLED:
        return _SPELLED[value.lower()]
    try:
        number = float(value)
    except ValueError:
        return value
    return int(number) if number.is_integer() else number


def _is_text(column: Column) -> bool:
    return column.dtype == "category" and all(isinstance(category, str) for category in column.categories or ())
