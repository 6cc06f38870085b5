"""Which rows are to be flagged in the log. Looked at after the answer is known, so that it never refuses anything."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any

import numpy as np

from salver.types.policies import Flagged, Flags, flags_of, is_bounded, is_governed
from salver.types.signature import Columns, Signature

_FEW = 8
"""As many rows are looked at one by one; more, column by column."""


class Flagger:
    """The flags of checked rows: what their checks noted, and numbers outside of the range that training saw."""

    def __init__(self, signature: Signature) -> None:
        columns = signature.columns
        self._noting = signature.on_unknown == "warn" or any(is_governed(column) for column in columns)
        self._ranges = [
            (i, column.name, -math.inf if column.low is None else column.low, math.inf if column.high is None else column.high)
            for i, column in enumerate(columns)
            if column.has_range and not is_bounded(column)
        ]

    def __bool__(self) -> bool:
        """Whether any row can get a flag at all."""
        return self._noting or bool(self._ranges)

    def __call__(self, rows: Sequence[Sequence[Any]]) -> Iterable[Flags | None]:
        """The flags of each row; without end when there are none."""
        flagged: dict[int, Flags] = {}
        if self._noting:
            flagged = {at: row.flags for at, row in enumerate(rows) if type(row) is Flagged}
        if self._ranges and self._outside(rows):
            for at, row in enumerate(rows):
                # A missing value is neither below nor above.
                found = {name: "out_of_range" for i, name, low, high in self._ranges if row[i] < low or row[i] > high}
                if found:
                    flagged[at] = {**found, **flagged.get(at, {})}
        return [flagged.get(at) for at in range(len(rows))] if flagged else repeat(None)

    def of_columns(self, columns: Columns) -> dict[int, Flags]:
        """The flags of checked arrays by column, by the number of the row: the vectorised twin."""
        flagged = {at: dict(flags) for at, flags in flags_of(columns).items()}
        for _, name, low, high in self._ranges:
            values = columns[name]
            for at in np.flatnonzero((values < low) | (values > high)).tolist():
                flagged[at] = {name: "out_of_range", **flagged.get(at, {})}
        return flagged

    def _outside(self, rows: Sequence[Sequence[Any]]) -> bool:
        """Whether a number lies outside, or is missing: a quick look that most batches pass."""
        if len(rows) < _FEW:
            for row in rows:
                for i, _, low, high in self._ranges:
                    if not low <= row[i] <= high:
                        return True
            return False
        columns = list(zip(*rows, strict=True))
        # Where a missing value hides from min and max it stands behind a number, and the numbers are all seen.
        return any(not (low <= min(columns[i]) and max(columns[i]) <= high) for i, _, low, high in self._ranges)
