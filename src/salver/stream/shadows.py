"""The shadows of a stream: versions that are asked what was answered, each in a process of its own, and never waited for."""

from __future__ import annotations

from collections.abc import Callable

from salver.engine.batch import Batch
from salver.engine.request import Request
from salver.engine.shadow import ROOM_ROWS, Shadow
from salver.engine.trying import Order
from salver.stream.eventloop import EventLoop


class Shadows:
    """Those that the route names. Used by one thread at a time; they live on an event loop of their own."""

    def __init__(self, order: Callable[[int], Order]) -> None:
        self.all: list[Shadow] = []
        self._order = order
        self._loop: EventLoop | None = None

    def follow(self, versions: tuple[int, ...]) -> None:
        """These are asked from now on, and no others."""
        if {shadow.version for shadow in self.all} == set(versions):
            return
        self._loop = self._loop or EventLoop("salver-shadows")
        self.all = self._loop.run(self._become(versions))

    def offer(self, batch: Batch, prediction: str) -> None:
        """What was answered, as far as there is room for it."""
        if self.all and self._loop is not None:
            self._loop.call(self._offer, batch, prediction)

    def close(self) -> None:
        if self._loop is not None:
            self._loop.run(self._become(()))
            self._loop.close()

    async def _become(self, versions: tuple[int, ...]) -> list[Shadow]:
        had = {shadow.version: shadow for shadow in self.all}
        gone = [had.pop(version) for version in had.keys() - {*versions}]
        for shadow in gone:
            shadow.close()
        for shadow in gone:
            await shadow.ended()
        return [had.get(version) or Shadow(self._order(version)) for version in versions]

    def _offer(self, batch: Batch, prediction: str) -> None:
        more = len(batch.ids) - ROOM_ROWS
        if more > 0:  # of a large batch the first are asked
            batch = _first(batch, ROOM_ROWS)
        for shadow in self.all:
            shadow.dropped += max(0, more)
            shadow.offer(batch, prediction)


def _first(batch: Batch, count: int) -> Batch:
    """The first rows of a batch of one request."""
    (asked,) = batch.requests
    rows, keys = asked.rows or [], asked.keys or []
    some = Request(
        rows=rows[:count],
        count=count,
        size_bytes=0,
        arrived_ns=asked.arrived_ns,
        source=asked.source,
        keys=keys[:count],
    )
    return batch.part(some, slice(count))
