"""Two tables, without a server: `salver.monitors.compare(reference, current)`."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from salver import tables
from salver.errors import InputError
from salver.monitors.alarm import told
from salver.monitors.judge import Finding, Verdict, judge
from salver.monitors.profile import ColumnProfile, Profile, column_profile
from salver.monitors.rule import Rule
from salver.monitors.window import Window, window_of
from salver.types.signature import Columns, rows_of

_FEW = 20  # distinct whole numbers, up to which a column of them is one of categories


class Comparison(msgspec.Struct):
    """What differs between two tables. Printed, it is a table of the columns."""

    verdict: Verdict
    only_reference: list[str] = []
    only_current: list[str] = []

    @property
    def drifted(self) -> bool:
        """Whether anything is wrong: drift or quality."""
        return bool(self.verdict.bad)

    @property
    def columns(self) -> list[str]:
        """The columns with something wrong, the worst first."""
        return list(dict.fromkeys(finding.column for finding in self.verdict.bad))

    def of(self, column: str) -> list[Finding]:
        """All that was found of a column."""
        return [finding for finding in self.verdict.findings if finding.column == column]

    def __str__(self) -> str:
        verdict = self.verdict
        if verdict.needs_rows:
            return f"{verdict.rows} rows: needs {verdict.needs_rows} more rows to say whether anything differs"
        lines = [f"{verdict.rows} rows: " + (f"{len(self.columns)} columns differ" if self.drifted else "nothing differs")]
        lines += [f"  {finding.level}  {told(finding)}" for finding in verdict.bad]
        return "\n".join(lines)


def compare(reference: Any, current: Any, rule: Rule | None = None) -> Comparison:
    """Whether `current` was drawn as `reference` was: any two tables of the same columns, of any kind that Salver reads.

    Columns are taken by name. Text, booleans and whole numbers of few values are categories. Raises InputError for what is no
    table, or when no column is in both.
    """
    before, now = tables.read(reference), tables.read(current)
    names = [name for name in before if name in now]
    if not names:
        raise InputError("the two tables have no column in common", code="unknown_column")
    made = reference_of({name: before[name] for name in names})
    verdict = judge(made, window_of_rows(made, {name: now[name] for name in names}), rule)
    return Comparison(verdict, [name for name in before if name not in now], [name for name in now if name not in before])


def reference_of(columns: Columns, *, by_time: bool = False) -> Profile:
    """The profile of plain columns, without a model."""
    made: dict[str, ColumnProfile] = {
        name: column_profile(_kind(array), by_time) for name, array in columns.items() if array.ndim == 1
    }
    return Profile(rows_of(columns), made, {}, duplicates=_same(columns))


def window_of_rows(profile: Profile, columns: Columns) -> Window:
    """The window of plain columns."""
    return window_of(profile, columns, {}, duplicates=_same(columns))


def _kind(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind in "iu" and len(np.unique(array)) <= _FEW:
        return array.astype(object)
    return array if array.dtype.kind in "fiu" else array.astype(object)


def _same(columns: Columns) -> int:
    """Rows that are the same as one before them; not looked for where a few values are all there is."""
    rows = list(map(str, zip(*(array.tolist() for array in columns.values()), strict=True)))
    return len(rows) - len(set(rows)) if len(columns) > 1 else 0
