"""One prediction in the log. What each field means: docs/log.md."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec


class Record(msgspec.Struct, omit_defaults=True, gc=False):
    """One row of one request: what went in, what came out.

    `ts` is UTC in µs since 1970, `latency_us` from the request's arrival to its prediction. `inputs` are by column; missing
    values are null. `flags` say by column what is odd about them: "missing", "unseen", "type", "out_of_range".
    """

    id: str
    ts: int
    model: str
    version: int
    route: str
    source: str
    latency_us: int
    inputs: Any  # an object by column name
    outputs: Any  # an object by output name
    key: str | None = None
    trace: str | None = None
    flags: dict[str, str] | None = None  # what was unusual about the row, by column
    weight: float | None = None  # how many predictions it stands for, where only a sample is written


encoder = msgspec.json.Encoder()

_INFINITIES = {math.inf: "Infinity", -math.inf: "-Infinity"}


def spelled(row: Sequence[Any]) -> list[Any]:
    """Infinities by name, since JSON has no number for them."""
    return [_INFINITIES.get(value, value) if isinstance(value, float) else value for value in row]


def object_maker(names: list[str]) -> Callable[..., Any]:
    """A function from values, in the order of `names`, to something that is encoded as an object with those names.

    A struct is made and encoded faster than a dict; names it can't have make a dict.
    """
    fields = [(f"f{i}", Any) for i in range(len(names))]
    try:
        renamed = {field: name for (field, _), name in zip(fields, names, strict=True)}
        return msgspec.defstruct("Object", fields, rename=renamed, gc=False)
    except ValueError:
        return lambda *values: dict(zip(names, values, strict=True))
