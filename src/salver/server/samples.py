"""Counts of several processes made one. Pure: samples in, samples out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

Merge = Literal["sum", "min", "max", "here"]
"""What many workers' values of a metric make together; `here`: it is no worker's own, and whoever is asked reads it."""


class Sample(msgspec.Struct, array_like=True):
    """A value of a metric, or a histogram: its counts by bucket, and their sum as the value."""

    metric: str
    labels: tuple[str, ...]
    value: float
    counts: list[int] | None = None


def merged(said: Iterable[Iterable[Sample]], merge: Mapping[str, Merge]) -> list[Sample]:
    """One sample for each metric and labels, in the order in which they come first. What is not in `merge` is left out."""
    made: dict[tuple[str, tuple[str, ...]], Sample] = {}
    for sample in (sample for samples in said for sample in samples):
        how = merge.get(sample.metric)
        if how is None:
            continue
        known = made.get((sample.metric, sample.labels))
        if known is None:
            counts = None if sample.counts is None else [*sample.counts]
            made[sample.metric, sample.labels] = Sample(sample.metric, sample.labels, sample.value, counts)
        elif how == "min":
            known.value = min(known.value, sample.value)
        elif how == "max":
            known.value = max(known.value, sample.value)
        elif how == "sum":
            known.value += sample.value
            if known.counts is not None and sample.counts is not None:
                known.counts = [a + b for a, b in zip(known.counts, sample.counts, strict=True)]
    return list(made.values())
