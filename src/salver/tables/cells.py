"""The cells of a text file as values of a model's column, one cell at a time: a cell that is no number spoils only itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from salver.types.signature import Column

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity)", re.IGNORECASE)
WHOLE = re.compile(r"[+-]?\d+")
MISSING = frozenset(("", "nan", "na", "n/a", "null", "none"))
BOOLS = {"true": True, "false": False, "": None}


def cell_reader(column: Column) -> Callable[[str | None], Any]:
    """What reads a column's cells: text where the column is text, else numbers, true and false, None where one is missing.

    A cell that is none of these stays text, and is for the column's check to refuse.
    """
    return text_of if is_text(column) else value_of


def text_of(cell: str | None) -> str | None:
    return cell or None


def value_of(cell: str | None) -> Any:
    lowered = "" if cell is None else cell.strip().lower()
    if lowered in MISSING:
        return None
    if NUMBER.fullmatch(lowered):
        return number_of(lowered)
    return BOOLS.get(lowered, cell)


def number_of(cell: str) -> int | float | None:
    """A lowered cell that is a number, or says that there is none."""
    if cell in MISSING:
        return None
    return int(cell) if WHOLE.fullmatch(cell) else float(cell)


def is_text(column: Column | None) -> bool:
    """Whether a column's values are text, as far as its signature says."""
    if column is None or column.is_number:
        return False
    return column.dtype == "string" or any(isinstance(category, str) for category in column.categories or ())
