"""Rows in JSON ↔ a model, for the protocols that speak of instances and predictions. Pure."""

from __future__ import annotations

from typing import Any, cast

from salver.engine.batch import Batch
from salver.engine.lane import Lane
from salver.errors import InputError
from salver.server import reading
from salver.server.settings import Limits
from salver.types.rows import Row
from salver.types.signature import Output


class RowCodec:
    """Checks the rows of questions to one model, and gives its predictions as JSON has them."""

    def __init__(self, lane: Lane, limits: Limits) -> None:
        self.lane = lane
        self._limits = limits
        self._checker = lane.model.checker
        self.names = lane.model.signature.names
        self.ignores_unknown = lane.model.signature.on_unknown is None  # where a protocol reads over columns
        self.outputs = [output for output in lane.model.signature.outputs if output.name not in ("probabilities", "scores")]

    def by_row(self, instances: list[Any]) -> list[Row]:
        """Checked rows; each instance is a list, an object by column name, or the only column's value. Raises InputError."""
        reading.require_rows(len(instances), self._limits)
        try:
            return [self._checker.check(row, i) for i, row in enumerate(instances)]
        except InputError as error:
            self.lane.stats.errors[error.code] += 1
            raise

    def by_column(self, columns: dict[str, Any]) -> list[Row]:
        """Checked rows of lists by column name. Raises InputError."""
        reading.require_columns(len(columns), self._limits)
        lists = [cast("list[Any]", values) for values in columns.values() if isinstance(values, list)]
        if not columns or len(lists) < len(columns):
            raise InputError("every column must be a list of its values", code="invalid_body")
        if len({len(values) for values in lists}) > 1:
            raise InputError("the columns have different numbers of rows", code="wrong_shape")
        return self.by_row([dict(zip(columns, values, strict=True)) for values in zip(*lists, strict=True)])

    def predictions(self, batch: Batch, start: int, count: int) -> list[Any]:
        """Of each row: the prediction, or where the model has several outputs, an object of them."""
        values = [self.values(output, batch, start, count) for output in self.outputs]
        if len(values) == 1:
            return values[0]
        names = [output.name for output in self.outputs]
        return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]

    def values(self, output: Output, batch: Batch, start: int, count: int) -> list[Any]:
        """One output of those rows."""
        return batch.outputs[output.name][start : start + count]
