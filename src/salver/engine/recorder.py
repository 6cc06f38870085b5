"""What a batch leaves in the log: one line for each of its rows, or a block for many that came as arrays."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from operator import attrgetter
from typing import Protocol

from salver.engine.batch import Batch
from salver.engine.request import Request
from salver.log import blocks
from salver.log.policy import Policy
from salver.log.record import Record, encoder, object_maker, spelled
from salver.types.policies import Flags
from salver.types.ranges import Flagger
from salver.types.rows import Row
from salver.types.signature import Signature

_keys_of = attrgetter("keys")


class Origin(Protocol):
    """Where a row came from: a request, or what another face has instead."""

    @property
    def source(self) -> str: ...
    @property
    def arrived_ns(self) -> int: ...
    @property
    def trace(self) -> str | None: ...


class Recorder:
    """Writes the lines of one version of a model, answering by one route."""

    def __init__(self, name: str, version: int, signature: Signature, route: str, policy: Policy | None = None) -> None:
        self._name = name
        self._version = version
        self._route = route
        self._policy = policy
        self._names = signature.names
        self._inputs = object_maker(self._names)
        self._outputs = object_maker([output.name for output in signature.outputs])
        self._flags = Flagger(signature)
        self._infinite = any(column.infinite for column in signature.columns)

    def lines(self, batch: Batch) -> bytes:
        """The batch's rows as JSON lines."""
        if self._policy is None and len(batch.ids) >= blocks.ROWS and any(map(_is_large, batch.requests)):
            return b"".join(self._blocks(batch))
        return self._lines(batch)

    def _lines(self, batch: Batch) -> bytes:
        asked = batch.requests  # of each row
        if len(asked) != len(batch.ids):
            asked = [request for request in asked for _ in range(request.count)]
        rows: Iterable[Row] = chain.from_iterable([request.rows or request.each_row(self._names) for request in batch.requests])
        flags: Iterable[Flags | None] = repeat(None)
        if self._flags:
            rows = list(rows)
            flags = self._flags(rows)
        return self.lines_of(batch, asked, rows, _keys(batch.requests), flags)

    def lines_of(
        self,
        batch: Batch,
        asked: Iterable[Origin],
        rows: Iterable[Row],
        keys: Iterable[str | None],
        flags: Iterable[Flags | None],
    ) -> bytes:
        """The batch's rows as JSON lines: where each came from, what it held, its business key, and what is odd about it."""
        name, version, route = self._name, self._version, self._route
        inputs, ts, ended_ns = self._inputs, time.time_ns() // 1000, batch.ended_ns
        if self._infinite:
            rows = [spelled(row) for row in rows]
        outputs = map(self._outputs, *batch.outputs.values())
        records = [
            Record(
                made_id, ts, name, version, route, request.source, (ended_ns - request.arrived_ns) // 1000,
                inputs(*row), output, key, request.trace, flag,
            )
            for request, made_id, row, output, key, flag in zip(
                asked, batch.ids, rows, outputs, keys, flags, strict=False
            )
        ]  # fmt: skip
        if self._policy is not None:
            records = self._policy(records)
        return encoder.encode_lines(records)

    def _blocks(self, batch: Batch) -> Iterator[bytes]:
        """Each large request as blocks, the others as lines."""
        start = 0
        for request in batch.requests:
            end = start + request.count
            if _is_large(request):
                yield from self._blocks_of(request, batch, start)
            elif request.count:
                yield self._lines(batch.part(request, slice(start, end)))
            start = end

    def _blocks_of(self, request: Request, batch: Batch, start: int) -> Iterator[bytes]:
        assert request.columns is not None
        columns = {name: request.columns[name] for name in self._names}
        latency_us, flags = (batch.ended_ns - request.arrived_ns) // 1000, self._flags.of_columns(request.columns)
        for part in blocks.parts(columns, request.count):
            rows = slice(start + part.start, start + part.stop)
            arrays, data, others = blocks.packed(columns, part)
            outputs = {name: values[rows] for name, values in batch.outputs.items()}
            block = blocks.Block(
                part.stop - part.start, time.time_ns() // 1000, self._name, self._version, self._route, request.source,
                latency_us, batch.ids[rows], self._names, arrays, data, others, outputs, request.trace,
                {at - part.start: flag for at, flag in flags.items() if part.start <= at < part.stop},
            )  # fmt: skip
            yield encoder.encode_lines([block])


def _is_large(request: Request) -> bool:
    return request.columns is not None and request.keys is None and request.count >= blocks.ROWS


def _keys(requests: list[Request]) -> Iterable[str | None]:
    """The business key of each row; without end when there is none."""
    if not any(map(_keys_of, requests)):
        return repeat(None)
    return [key for request in requests for key in request.keys or [None] * request.count]
