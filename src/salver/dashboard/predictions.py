"""One prediction in full: its inputs beside the reference, its labels, and what the other versions said."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from salver.dashboard.charts import Bar, bars
from salver.dashboard.search import FIELDS, MINUTE_US, Found, found_in
from salver.dashboard.turn import Turn
from salver.log.view import Stretch, asked
from salver.monitors.bins import NumberBins, spelled
from salver.monitors.profile import ColumnProfile, Profile
from salver.types.signature import Signature

if TYPE_CHECKING:
    import duckdb

_DAY_US = 86_400 * 1_000_000


class Given(NamedTuple):
    """A label: when it was given, by what, and what it says."""

    ts: int
    by: str
    label: Any


class Beside(NamedTuple):
    """All that belongs to one prediction: its labels, the latest first, and what others said to the same row."""

    labels: list[Given]
    others: list[Found]


def beside(log: Path, model: str, found: Found, turn: Turn) -> Beside:
    """What came to it, and what other versions were asked at about the same time."""

    def ask(connection: duckdb.DuckDBPyConnection) -> Beside:
        connection.execute("set threads = 1")
        with turn.asking(connection):
            labels = connection.execute(
                "select ts, if(id is null, 'key', 'id'), label from labels where model = ? and (id = ?::UUID or key = ?) "
                "order by ts desc limit 20",
                [model, found.id, found.key],
            ).fetchall()
            near = connection.execute(
                f"select {FIELDS} from predictions where model = ? and ts between ? and ? and id <> ?::UUID limit 2000",
                [model, found.ts - MINUTE_US, found.ts + MINUTE_US, found.id],
            ).fetchall()
        others = [other for other in map(found_in, near) if other.inputs == found.inputs and other.version != found.version]
        return Beside([Given(ts, by, msgspec.json.decode(label)) for ts, by, label in labels], others)

    return asked(log, ask, only=Stretch(model, found.ts - _DAY_US, time.time_ns() // 1000 + _DAY_US))


class Input(NamedTuple):
    """A value beside those of the reference. `rank`: the share of the reference's rows that are lower; None for categories."""

    name: str
    value: Any
    flag: str
    bars: list[Bar]
    place: int | None  # the bar that it falls in
    told: str


def inputs(found: Found, profile: Profile | None) -> list[Input]:
    """Each input beside the reference: what is flagged first."""
    made: list[Input] = []
    for name, value in found.inputs.items():
        of = profile.columns.get(name) if profile else None
        drawn, place, told = _placed(of, value) if of else ([], None, "")
        made.append(Input(name, value, found.flags.get(name, ""), drawn, place, told))
    return sorted(made, key=lambda one: not one.flag)


def _placed(of: ColumnProfile, value: Any) -> tuple[list[Bar], int | None, str]:
    counts = list(of.counts)
    cell = _cell(of, value)
    drawn = bars(of.bins, counts, counts)
    kept = [i for i, count in enumerate(counts) if count]
    place = kept.index(cell) if cell in kept else None
    share = counts[cell] / max(of.rows, 1)
    if value is None:
        return drawn, place, f"missing, as {share:.1%} of the reference"
    if not isinstance(of.bins, NumberBins):
        return drawn, place, f"{share:.1%} of the reference have it" if share else "the reference does not have it"
    if place is None:
        return drawn, None, "outside of all that the reference has"
    low = sum(counts[2:cell]) / max(sum(counts[2:]), 1)
    high = low + counts[cell] / max(sum(counts[2:]), 1)
    return drawn, place, f"above {low:.0%} and below {1 - high:.0%} of the reference"


def _cell(of: ColumnProfile, value: Any) -> int:
    if value is None:
        return 0
    if isinstance(of.bins, NumberBins):
        import numpy as np

        try:
            return int(np.argmax(of.bins.count(np.array([float(value)]))))
        except (TypeError, ValueError):
            return 1
    return int(of.bins.count([value]).argmax())


class Answer(NamedTuple):
    """A class and its probability."""

    name: str
    share: float


def answers(found: Found, signature: Signature | None) -> list[Answer]:
    """The classes by probability, the likeliest first; empty where there are none."""
    shares = found.outputs.get("probabilities")
    classes = signature.prediction.classes if signature else None
    if not isinstance(shares, list) or not classes or len(shares) != len(classes):
        return []
    made = [
        Answer(spelled(name), float(share))
        for name, share in zip(classes, shares, strict=True)
        if isinstance(share, int | float)
    ]
    return sorted(made, key=lambda one: -one.share)
