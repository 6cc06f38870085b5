"""What is drawn: series for the browser to draw, and small shapes that need no script. Pure: figures in, coordinates out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from salver.monitors.bins import NumberBins, ValueBins
from salver.monitors.estimate import Estimate


class Series(msgspec.Struct, omit_defaults=True):
    """One line. `colour` is a place in the palette; `low` and `high` are the band around it."""

    label: str
    values: list[float | None]
    colour: int = 0
    low: list[float | None] = []
    high: list[float | None] = []
    dashed: bool = False


class Mark(msgspec.Struct):
    """Something that happened at a time: a vertical line."""

    x: float
    label: str


class Chart(msgspec.Struct, omit_defaults=True):
    """Lines over time (s since 1970). `unit` says how values are written: "", "%", "ms", "/s"."""

    title: str
    x: list[float]
    series: list[Series]
    unit: str = ""
    marks: list[Mark] = []
    since: float | None = None
    until: float | None = None
    level: float | None = None  # a dashed line across
    level_label: str = ""
    zero: bool = True  # whether the axis begins at nothing
    area: bool = False

    @property
    def json(self) -> str:
        """For the attribute that the script reads."""
        return msgspec.json.encode(self).decode()

    @property
    def is_empty(self) -> bool:
        return not any(value is not None for one in self.series for value in one.values)


def of_estimates(label: str, found: Sequence[Estimate | None], colour: int, dashed: bool = False) -> Series:
    """A line with its interval."""
    return Series(
        label,
        [None if one is None else one.value for one in found],
        colour,
        [None if one is None else one.low for one in found],
        [None if one is None else one.high for one in found],
        dashed,
    )


def spark(values: Sequence[float], width: float = 120, height: float = 28) -> str:
    """The points of a small line, as SVG has them; the highest value is the top."""
    if not values:
        return ""
    high = max(max(values), 1e-12)
    step = width / max(len(values) - 1, 1)
    return " ".join(f"{i * step:.1f},{height - 2 - (height - 4) * value / high:.1f}" for i, value in enumerate(values))


class Bar(NamedTuple):
    """A cell of a distribution: the share of rows before and now. Its area, in parts of the picture, is that share."""

    name: str
    before: float
    now: float
    x: float
    width: float
    before_height: float
    now_height: float


_SLOT = 0.06  # of the width, for values that lie nowhere: missing ones, those beyond all that was seen
_THINNEST = 1 / 300  # of the range: thinner cells are single values, which have no density


def bars(
    bins: NumberBins | ValueBins, before: Sequence[int], now: Sequence[int], width: float = 300, height: float = 72
) -> list[Bar]:
    """Two distributions over the same cells. Cells that neither has are left out.

    Numbers lie where they are, so that their shape is seen; single values and categories are equally wide.
    """
    names, total_before, total_now = bins.names, max(sum(before), 1), max(sum(now), 1)
    kept = [i for i in range(len(names)) if before[i] or now[i]]
    places = _by_value(bins, kept) or [(at / len(kept), 1 / len(kept)) for at in range(len(kept))]
    shares = [(before[i] / total_before, now[i] / total_now) for i in kept]
    high = max((max(pair) / wide for pair, (_, wide) in zip(shares, places, strict=True)), default=0.0) or 1.0
    return [
        Bar(names[i], b, n, x * width, wide * width, b / wide / high * height, n / wide / high * height)
        for i, (b, n), (x, wide) in zip(kept, shares, places, strict=True)
    ]


def _by_value(bins: NumberBins | ValueBins, kept: Sequence[int]) -> list[tuple[float, float]]:
    """Where each cell begins and how wide it is, in parts of the whole; none where cells have no width."""
    if not isinstance(bins, NumberBins) or len(bins.edges) < 4:
        return []
    edges, inside = bins.edges, range(3, len(bins.edges) + 2)
    span = edges[-1] - edges[0]
    left = [i for i in kept if i < 3]
    right = [i for i in kept if i not in inside and i > 2]
    if not 0 < span < math.inf or any(edges[i - 2] - edges[i - 3] < span * _THINNEST for i in kept if i in inside):
        return []
    room = 1 - _SLOT * (len(left) + len(right))
    made: list[tuple[float, float]] = []
    for i in kept:
        if i in inside:
            low, high = edges[i - 3], edges[i - 2]
            made.append((_SLOT * len(left) + (low - edges[0]) / span * room, (high - low) / span * room))
        else:
            made.append((_SLOT * left.index(i) if i < 3 else 1 - _SLOT, _SLOT))
    return made
