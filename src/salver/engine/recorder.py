"""What a batch leaves in the log: one line for each of its rows."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from itertools import chain, repeat
from operator import attrgetter
from typing import Any

from salver.engine.batch import Batch
from salver.engine.request import Request
from salver.log.policy import Policy
from salver.log.record import Record, encoder, object_maker
from salver.types.policies import Flags
from salver.types.ranges import Flagger
from salver.types.rows import Row
from salver.types.signature import Signature

_INFINITIES = {math.inf: "Infinity", -math.inf: "-Infinity"}
_keys_of = attrgetter("keys")


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
        name, version, route = self._name, self._version, self._route
        inputs, ts, ended_ns = self._inputs, time.time_ns() // 1000, batch.ended_ns
        asked = batch.requests  # of each row
        if len(asked) != len(batch.ids):
            asked = [request for request in asked for _ in range(request.count)]
        rows: Iterable[Row] = chain.from_iterable([request.rows or request.each_row(self._names) for request in batch.requests])
        flags: Iterable[Flags | None] = repeat(None)
        if self._flags:
            rows = list(rows)
            flags = self._flags(rows)
        if self._infinite:
            rows = [spelled(row) for row in rows]
        outputs = map(self._outputs, *batch.outputs.values())
        records = [
            Record(
                made_id, ts, name, version, route, request.source, (ended_ns - request.arrived_ns) // 1000,
                inputs(*row), output, key, request.trace, flag,
            )
            for request, made_id, row, output, key, flag in zip(
                asked, batch.ids, rows, outputs, _keys(batch.requests), flags, strict=False
            )
        ]  # fmt: skip
        if self._policy is not None:
            records = self._policy(records)
        return encoder.encode_lines(records)


def _keys(requests: list[Request]) -> Iterable[str | None]:
    """The business key of each row; without end when there is none."""
    if not any(map(_keys_of, requests)):
        return repeat(None)
    return [key for request in requests for key in request.keys or [None] * request.count]


def spelled(row: Row) -> list[Any]:
    """Infinities by name, since JSON has no number for them."""
    return [_INFINITIES.get(value, value) if isinstance(value, float) else value for value in row]
