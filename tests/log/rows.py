"""Predictions and labels for tests of the log, made in bulk."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from salver.engine.ids import IdSource
from salver.log.record import Record, encoder
from salver.log.segment import SegmentWriter

IDS = IdSource()


def record(made_id: str, **fields: Any) -> Record:
    """A prediction of model `m` version 1, with what `fields` say otherwise."""
    told: dict[str, Any] = {
        "ts": time.time_ns() // 1000,
        "model": "m",
        "version": 1,
        "route": "live",
        "source": "test",
        "latency_us": 7,
        "inputs": {"x": 1.5, "colour": "red"},
        "outputs": {"prediction": 1, "probabilities": [0.25, 0.75]},
        **fields,
    }
    return Record(made_id, **told)


def write(log: Path, records: list[Record], **options: Any) -> None:
    """Write records as one process does that then ends."""
    writer = SegmentWriter(log, **options)
    for one in records:
        writer.append(encoder.encode(one) + b"\n")
    writer.close()


def some(count: int, **fields: Any) -> list[Record]:
    return [record(made_id, **fields) for made_id in IDS.batch(count)]
