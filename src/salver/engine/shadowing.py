"""A shadow at work, in a process of its own: `python -m salver.engine.shadowing SOCKET`, with an order on standard input.

It is told what the version that answers was asked, and what that said; it answers the same, writes that to the log, and counts
how often the two agree. It has only the time that nobody else wants.
"""

from __future__ import annotations

import math
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from salver.engine.batch import Batch, values_of
from salver.engine.ids import IdSource
from salver.engine.model import Model
from salver.engine.recorder import Recorder
from salver.engine.request import Request
from salver.engine.trying import Order, awake, end_with_parent
from salver.errors import InputError, SalverError
from salver.log.policy import Policies
from salver.log.settings import read_settings
from salver.log.writer import Writer, open_writer
from salver.types.rows import Row

MESSAGE_BYTES = 2**20
_EQUAL = 1e-9


class Asked(msgspec.Struct, array_like=True):
    """Rows of one request, and what the version that answered said."""

    rows: list[Any]
    predictions: list[Any]
    probabilities: list[Any] | None
    keys: list[str | None] | None
    source: str


class Compared(msgspec.Struct):
    """What came of a shadow so far, in rows. `difference` is |a - b| of numbers, or the largest of all probabilities'."""

    rows: int = 0
    equal: int = 0
    different: int = 0
    failed: int = 0
    difference_sum: float = 0.0
    difference_max: float = 0.0

    def add(self, predictions: tuple[Any, Any], probabilities: tuple[Any, Any] | None) -> None:
        """Count a row: what the one that answered said, and what the shadow says."""
        self.rows += 1
        live, shadow = predictions
        difference = abs(live - shadow) if _is_number(live) and _is_number(shadow) else 0.0
        if probabilities and probabilities[0] and probabilities[1] and len(probabilities[0]) == len(probabilities[1]):
            difference = max(abs(a - b) for a, b in zip(*probabilities, strict=True))
            same = live == shadow
        else:
            same = live == shadow or (_is_number(live) and difference <= _EQUAL * max(1.0, abs(live)))
        self.equal += same
        self.different += not same
        if math.isfinite(difference):
            self.difference_sum += difference
            self.difference_max = max(self.difference_max, difference)


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool))


class Shadowing:
    """One version that answers what another was asked."""

    def __init__(self, model: Model, log: Path | None) -> None:
        self.compared = Compared()
        self._model = model
        self._ids = IdSource()
        self._writer: Writer | None = None
        policy = None
        if log is not None:
            settings = read_settings(log)
            policies = Policies(log, settings)
            policy = policies.of(model.name, model.signature)
            policies.note(model.name, model.version, model.signature)
            self._writer = open_writer(log, settings)
        self._recorder = Recorder(model.name, model.version, model.signature, "shadow", policy)
        self._prediction = model.signature.prediction.name

    def answer(self, asked: Asked) -> None:
        """Answer rows, log the answers, compare them. What goes wrong is counted."""
        arrived_ns = time.perf_counter_ns()
        try:
            rows: list[Row] = [self._model.checker.check(row, i) for i, row in enumerate(asked.rows)]
            request = Request(
                rows=rows, count=len(rows), size_bytes=0, arrived_ns=arrived_ns, source=asked.source, keys=asked.keys
            )
            arrays = self._model.predict([request])
            outputs = {output.name: values_of(output, arrays[output.name]) for output in self._model.signature.outputs}
            batch = Batch([request], arrays, outputs, self._ids.batch(len(rows)), arrived_ns)
            if self._writer is not None:
                self._writer.append(self._recorder.lines(batch))
        except Exception:  # whatever the model raises, and rows that do not fit it
            self.compared.rows += len(asked.rows)
            self.compared.failed += len(asked.rows)
            return
        probabilities = outputs.get("probabilities")
        for i, prediction in enumerate(outputs[self._prediction]):
            pair = (asked.probabilities[i], probabilities[i]) if asked.probabilities and probabilities else None
            self.compared.add((asked.predictions[i], prediction), pair)


def main() -> int:
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    end_with_parent()
    wire = socket.socket(fileno=int(sys.argv[1]))
    try:
        model = next(model for _, model in awake(order) if model)
        shadowing = Shadowing(model, Path(order.log) if order.log else None)
    except (SalverError, InputError) as error:
        print(error.message, file=sys.stderr)
        return 1
    encode, decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(list[Asked]).decode
    wire.send(encode(shadowing.compared))
    while message := wire.recv(MESSAGE_BYTES):
        for asked in decode(message):
            shadowing.answer(asked)
        wire.send(encode(shadowing.compared))
    return 0


if __name__ == "__main__":
    os._exit(main())
