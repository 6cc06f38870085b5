"""One prediction in the log. What each field means: docs/log.md."""

from __future__ import annotations

from typing import Any

import msgspec


class Record(msgspec.Struct, omit_defaults=True):
    """One row of one request: what went in, what came out.

    `ts` is UTC in µs since 1970, `latency_us` from the request's arrival to its prediction. `inputs` are by column; missing
    values are null.
    """

    id: str
    ts: int
    model: str
    version: int
    route: str
    source: str
    latency_us: int
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    key: str | None = None
    trace: str | None = None


encoder = msgspec.json.Encoder()
