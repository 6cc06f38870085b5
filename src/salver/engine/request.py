"""One request inside the engine: checked rows, and whom to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from salver.errors import SalverError
from salver.types.policies import flag_rows
from salver.types.rows import Row
from salver.types.signature import Columns

if TYPE_CHECKING:
    from salver.engine.batch import Batch


class Request:
    """Rows that were checked against the model's signature, as lists or as arrays by column (exactly one of the two).

    A face makes a subclass that says how it is answered. Exactly one of `answered` and `failed` is called, unless the client
    had `disconnected` when its turn came; then neither is.
    """

    __slots__ = (
        "arrived_ns",
        "columns",
        "count",
        "deadline_ns",
        "disconnected",
        "keys",
        "rows",
        "size_bytes",
        "source",
        "trace",
    )

    def __init__(
        self,
        *,
        rows: list[Row] | None = None,
        columns: Columns | None = None,
        count: int,
        size_bytes: int,
        arrived_ns: int,
        source: str,
        keys: list[str | None] | None = None,
        trace: str | None = None,
    ) -> None:
        self.rows = rows
        self.columns = columns
        self.count = count
        self.size_bytes = size_bytes
        self.arrived_ns = arrived_ns  # time.perf_counter_ns
        self.source = source
        self.keys = keys
        self.trace = trace
        self.deadline_ns = 0  # time.perf_counter_ns; 0 where the caller gave none
        self.disconnected = False  # set when nobody waits for the answer any more

    def answered(self, batch: Batch, start: int) -> None:
        """The outputs of this request's rows are `batch`'s from `start` on."""
        raise NotImplementedError

    def failed(self, error: SalverError) -> None:
        """There will be no answer."""
        raise NotImplementedError

    def each_row(self, names: list[str]) -> list[Row]:
        """The inputs of each row as values in the order of `names`, as they are logged."""
        if self.columns is None:
            return self.rows or []
        rows = [list(row) for row in zip(*(self.columns[name].tolist() for name in names), strict=True)]
        return flag_rows(rows, self.columns)
