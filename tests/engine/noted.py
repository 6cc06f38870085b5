"""A request that notes how it was answered."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from salver.engine.batch import Batch
from salver.engine.lane import Lane
from salver.engine.request import Request
from salver.errors import SalverError
from salver.types.signature import Columns


class Noted(Request):
    """Asks for `rows` (or `columns`); `outcomes` has everything that it was told: outputs of its rows, or an error."""

    def __init__(self, rows: list[list[Any]] | None = None, columns: Columns | None = None, **more: Any) -> None:
        count = len(rows) if rows is not None else len(next(iter((columns or {}).values())))
        given = {"count": count, "size_bytes": 10 * count, "arrived_ns": time.perf_counter_ns(), "source": "test"} | more
        super().__init__(rows=rows, columns=columns, **given)
        self.outcomes: list[list[Any] | SalverError] = []
        self.ids: list[str] = []

    def answered(self, batch: Batch, start: int) -> None:
        self.outcomes.append(batch.outputs["prediction"][start : start + self.count])
        self.ids = batch.ids[start : start + self.count]

    def failed(self, error: SalverError) -> None:
        self.outcomes.append(error)

    @property
    def answer(self) -> list[Any]:
        """The one answer it got."""
        (outcome,) = self.outcomes
        assert isinstance(outcome, list), outcome
        return outcome

    @property
    def error(self) -> SalverError:
        """The one error it got."""
        (outcome,) = self.outcomes
        assert isinstance(outcome, SalverError), outcome
        return outcome


async def until_told(lane: Lane, *requests: Noted) -> None:
    """Submit requests in one turn of the event loop and wait until each has an outcome."""
    for request in requests:
        lane.submit(request)
    async with asyncio.timeout(120):
        while not all(request.outcomes or request.disconnected for request in requests):
            await asyncio.sleep(0.001)
