"""From a chunk of a table to what the model takes: columns found, cells read, values checked, bad rows set apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from salver.batch import arrow
from salver.batch.reading import Chunk
from salver.errors import InputError, SalverError
from salver.tables import read
from salver.tables.cells import cell_reader, is_text
from salver.tables.values import array_of_values
from salver.types.rows import RowChecker
from salver.types.signature import Column, Columns

_OF_ALL_ROWS = {"missing_column", "unknown_column", "wrong_width"}
"""What is wrong with every row of a table if it is wrong with one."""
_NAMED_AT_MOST = 5

Rows = slice | NDArray[np.int64]
Wrong = dict[int, SalverError]
"""What is wrong with rows, by their place in the chunk."""


class Fitter:
    """Finds and checks a model's columns. `columns` are their names in the input, in the model's order (none: by name)."""

    def __init__(self, checker: RowChecker, columns: tuple[str, ...]) -> None:
        self._checker = checker
        self._signature = checker.signature
        self._columns = columns

    def sources(self, chunk: Chunk) -> dict[str, str]:
        """The model's columns that the chunk has, and what they are called in it. Raises InputError when there is none."""
        names, there = self._signature.names, set(chunk.table.column_names)
        if chunk.rows is not None:
            there.update(names)  # a row that lacks one is a bad row, not a bad table
        if self._columns:
            missing = [name for name in self._columns if name not in there]
            if missing or len(self._columns) != len(names):
                raise self._unfit(
                    f"the input has no column '{missing[0]}'" if missing else f"--columns names {len(self._columns)}"
                )
            return dict(zip(names, self._columns, strict=True))
        if found := {name: name for name in names if name in there}:
            return found
        if not self._signature.named and len(chunk.table.column_names) == len(names):
            return dict(zip(names, chunk.table.column_names, strict=True))
        raise self._unfit("the input has none of the model's columns")

    def bind(self, chunk: Chunk, texts: frozenset[str]) -> dict[str, Any]:
        """The values of the model's columns, not checked yet. In the columns `texts` nothing has a type."""
        made: dict[str, Any] = {}
        declared = {column.name: column for column in self._signature.columns}
        for name, source in self.sources(chunk).items():
            if source in texts:
                made[name] = _cells(declared[name], chunk.table.column(source))
            elif chunk.rows is not None:
                made[name] = [row.get(source) for row in chunk.rows]
            else:
                made[name] = chunk.table.column(source)
        return made

    def fitted(self, bound: dict[str, Any], rows: Rows) -> Columns:
        """Those rows as the model takes them. Raises InputError."""
        return self._checker.check_columns({name: _array(name, values, rows) for name, values in bound.items()})

    def wrong(self, bound: dict[str, Any], count: int) -> Wrong:
        """The rows that do not fit, found by halves. Raises InputError when it is the whole table that does not."""
        found: Wrong = {}

        def look(start: int, stop: int) -> None:
            try:
                self.fitted(bound, slice(start, stop))
            except InputError as error:
                if error.code in _OF_ALL_ROWS:
                    raise
                if stop - start == 1:
                    found[start] = error
                else:
                    middle = (start + stop) // 2
                    look(start, middle)
                    look(middle, stop)

        if count:
            look(0, count)
        return found

    def _unfit(self, what: str) -> InputError:
        names = self._signature.names
        shown = ", ".join(names[:_NAMED_AT_MOST]) + (" …" if len(names) > _NAMED_AT_MOST else "")
        return InputError(
            f"{what}; the model takes {len(names)} columns: {shown}. Say which they are with --columns", code="missing_column"
        )


def _array(name: str, values: Any, rows: Rows) -> NDArray[Any]:
    if isinstance(values, list):
        listed = cast("list[Any]", values)
        picked = listed[rows] if isinstance(rows, slice) else [listed[at] for at in rows.tolist()]
        return array_of_values(name, picked)
    if isinstance(values, np.ndarray):
        return cast("NDArray[Any]", values)[rows]
    import pyarrow

    picked = values.slice(rows.start, rows.stop - rows.start) if isinstance(rows, slice) else values.take(pyarrow.array(rows))
    return read(pyarrow.table({name: picked}))[name]


def _cells(column: Column, cells: arrow.Array) -> Any:
    """Text as a column's values: all at once where every cell is plain, else cell by cell."""
    import pyarrow
    import pyarrow.compute as compute

    if is_text(column):
        return cells
    dtype = pyarrow.int64() if column.dtype.startswith(("int", "uint")) else pyarrow.float64()
    if column.dtype not in ("bool", "category"):
        try:
            return compute.cast(cells, dtype)
        except pyarrow.ArrowInvalid:
            pass
    reader: Callable[[str | None], Any] = cell_reader(column)
    return [reader(cell) for cell in cells.to_pylist()]
