"""Requests that ran together, and what the model said."""

from __future__ import annotations

import time
from typing import Any

from salver.engine.request import Request
from salver.types.signature import Columns, Output


class Batch:
    """Requests that ran together, and what came out: `arrays` are the runtime's, `outputs[name][row]` Python values."""

    __slots__ = ("arrays", "ended_ns", "ids", "lines", "outputs", "requests", "started_ns")

    def __init__(
        self, requests: list[Request], arrays: Columns, outputs: dict[str, list[Any]], ids: list[str], started_ns: int
    ) -> None:
        self.requests = requests
        self.arrays = arrays
        self.outputs = outputs
        self.ids = ids
        self.started_ns = started_ns
        self.ended_ns = time.perf_counter_ns()
        self.lines = b""

    def part(self, request: Request, rows: slice) -> Batch:
        """What came out for one of the requests, whose rows these are, as a batch of its own."""
        arrays = {name: array[rows] for name, array in self.arrays.items()}
        outputs = {name: values[rows] for name, values in self.outputs.items()}
        made = Batch([request], arrays, outputs, self.ids[rows], self.started_ns)
        made.ended_ns = self.ended_ns
        return made


def values_of(output: Output, array: Any) -> list[Any]:
    """An output's rows as Python values; indices become the classes they stand for."""
    classes: Any = output.classes
    values: list[Any] = array.tolist()
    if classes is None:
        return values
    if output.is_multilabel:
        return [[classes[k][label] for k, label in enumerate(row)] for row in values]
    return list(map(classes.__getitem__, values))
