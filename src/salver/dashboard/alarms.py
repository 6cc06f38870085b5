"""Alarms, open and past, and what happened around them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from salver.dashboard.charts import Chart, Mark, Series, of_estimates
from salver.dashboard.health import gravity
from salver.dashboard.known import HOUR_US, Known
from salver.dashboard.messages import Served
from salver.dashboard.model import Changed, Distribution, cause, deploys, distributions, newest
from salver.dashboard.overview import answering
from salver.monitors.alarm import Alarm
from salver.monitors.judge import Finding
from salver.monitors.results import Seen, Watched
from salver.monitors.store import Track
from salver.registry.route import Route

_WIDTH = 1000
_SHOWN = 40


class Noted(NamedTuple):
    """An alarm, and whether its version takes requests now: where it does not, nobody is harmed any more."""

    alarm: Alarm
    answers: bool

    @property
    def is_open(self) -> bool:
        return self.alarm.until_us is None and self.answers


class Strip(NamedTuple):
    """An alarm on the time axis, in parts of `_WIDTH`."""

    noted: Noted
    x: float
    width: float


class Deploy(NamedTuple):
    x: float
    model: str
    label: str
    at_us: int


class Axis(NamedTuple):
    """One time axis for all: what began and ended when, and which changes of routes lie between."""

    since_us: int
    until_us: int
    width: int
    ticks: list[tuple[float, int]]
    strips: list[Strip]
    deploys: list[Deploy]


def every(known: Known, served: Iterable[Served], with_segments: bool = False) -> list[Noted]:
    """Open ones first, the gravest first; then past ones, the latest first."""
    made: list[Noted] = []
    for one in served:
        in_force = set(answering(one))
        for track in known.briefly(one.name):
            if with_segments or not track.segment:
                made += [Noted(alarm, track.version in in_force) for alarm in track.alarms]
    return sorted(
        made, key=lambda one: (not one.is_open, gravity(one.alarm) if one.is_open else (False, 0, -one.alarm.since_us))
    )


def fitting(found: Sequence[Noted], now_s: float) -> int:
    """So many days that all that is open is seen beginning."""
    began = min((one.alarm.since_us for one in found if one.is_open), default=0)
    hours = (now_s * 1e6 - began) / HOUR_US
    return 1 if hours < 20 else 7 if hours < 6 * 24 or not began else 30


def axis(known: Known, found: Sequence[Noted], served: Iterable[Served], days: float, now_s: float) -> Axis:
    """The last `days`."""
    until = int(now_s * 1e6)
    since = until - int(days * 24 * HOUR_US)

    def x(us: float) -> float:
        return round(min(max((us - since) / (until - since), 0.0), 1.0) * _WIDTH, 1)

    recent = [one for one in found if (one.alarm.until_us or until) >= since][:_SHOWN]
    strips = [
        Strip(one, x(one.alarm.since_us), max(x(one.alarm.until_us or until) - x(one.alarm.since_us), 3)) for one in recent
    ]
    marks = [
        Deploy(x(mark.x * 1e6), one.name, mark.label, int(mark.x * 1e6))
        for one in served
        if one.followed
        for mark in deploys(known.history(one.name), since)
    ]
    marks.sort(key=lambda one: one.at_us)
    step = HOUR_US * (3 if days <= 1 else 24 if days <= 10 else 24 * 7)
    ticks = [(x(at), at) for at in range(since // step * step + step, until, step)]
    return Axis(since, until, _WIDTH, ticks, strips, marks)


class Story(NamedTuple):
    """One alarm, and what happened around it on one time axis."""

    noted: Noted
    track: Watched
    cause: Changed | None
    effect: Chart | None
    accuracy: Chart | None
    traffic: Chart
    now: Distribution | None
    seen: Seen | None


def story(known: Known, served: Served, wanted: str, history: Sequence[Route], now_s: float) -> Story | None:
    """The alarm of that id."""
    watched = known.watched(served.name)
    for track in watched:
        for alarm in track.alarms:
            if alarm.id == wanted:
                return _story(known, served, track, alarm, history, now_s)
    return None


def _story(known: Known, served: Served, track: Watched, alarm: Alarm, history: Sequence[Route], now_s: float) -> Story:
    ended = alarm.until_us or int(now_s * 1e6)
    reach = max((ended - alarm.since_us) // 2, 6 * HOUR_US)
    since, until = alarm.since_us - reach, min(ended + reach, int(now_s * 1e6))
    marks = [mark for mark in deploys(history, since) if mark.x * 1e6 <= until]
    began = Mark(alarm.since_us / 1e6, "alarm begins")
    windows = [window for window in track.windows if since <= window.end_us and window.start_us <= until]
    seen = next((window for window in reversed(windows) if window.start_us <= ended), None)
    moved = distributions(known, track, seen) if seen else []
    return Story(
        Noted(alarm, track.version in answering(served)),
        track,
        cause(alarm.since_us, history),
        _effect(alarm, windows, [*marks, began], since, until),
        _accuracy(known, track, [*marks, began], since, until),
        _traffic(known, served.name, [*marks, began], since, until),
        next((one for one in moved if one.name == alarm.column), None),
        seen,
    )


def _effect(alarm: Alarm, windows: Sequence[Seen], marks: list[Mark], since: int, until: int) -> Chart | None:
    if alarm.kind not in ("drift", "score"):
        kind = alarm.kind
        found = [_of(window, kind, alarm.column) for window in windows]
        if not any(found) or kind in ("concept", "estimated"):
            return None
        values = [None if one is None else one.now for one in found]
        series = [Series(f"{alarm.column}: {kind.replace('_', ' ')}", values, 0)]
        return _chart(f"{alarm.column}: share of rows, window by window", windows, series, marks, since, until, "%")
    found = [_of(window, alarm.kind, alarm.column) for window in windows]
    effects = [None if one is None else one.effect for one in found]
    return _chart(
        f"{alarm.column}: how far it is from the reference (PSI beyond chance)",
        windows,
        [of_estimates(alarm.column, effects, 0)],
        marks,
        since,
        until,
        "",
    )


def _of(window: Seen, kind: str, column: str) -> Finding | None:
    return next((one for one in window.findings if (one.kind, one.column) == (kind, column)), None)


def _chart(
    title: str, windows: Sequence[Seen], series: list[Series], marks: list[Mark], since: int, until: int, unit: str
) -> Chart:
    return Chart(title, [window.start_us / 1e6 for window in windows], series, unit, marks, since / 1e6, until / 1e6)


def _accuracy(known: Known, track: Watched, marks: list[Mark], since: int, until: int) -> Chart | None:
    """Of all versions that answered."""
    tracks = [one for one in known.watched(track.model) if not one.segment and one.route == track.route and one.windows]
    times = sorted({w.start_us for one in tracks for w in one.windows if since <= w.end_us and w.start_us <= until})
    made = Chart(
        "Accuracy by labels",
        [at / 1e6 for at in times],
        [],
        "%" if track.measure == "accuracy" else "",
        marks,
        since / 1e6,
        until / 1e6,
    )
    for one in sorted(tracks, key=lambda one: -one.version):
        by_time = {window.start_us: window.realised for window in one.windows}
        found = [by_time.get(at) for at in times]
        if any(found):
            made.series.append(of_estimates(f"version {one.version}", found, newest(tracks) - one.version))
    made.zero = False
    return made if made.series else None


def _traffic(known: Known, model: str, marks: list[Mark], since: int, until: int) -> Chart:
    step = HOUR_US // 4
    first = since // step * step
    count = max(1, (until - first) // step)
    made = Chart(
        "Predictions a second",
        [(first + i * step) / 1e6 for i in range(count)],
        [],
        "/s",
        marks,
        since / 1e6,
        until / 1e6,
        area=True,
    )
    every = known.watched(model)
    for one in sorted(every, key=lambda one: -one.version):
        if one.segment:
            continue
        values = [0.0] * count
        for start, rows in known.rows_since(Track(model, one.version, one.route), first).items():
            if (at := (start - first) // step) < count:
                values[at] += rows
        if any(values):
            name = f"version {one.version}" + ("" if one.route == "live" else f", {one.route}")
            made.series.append(
                Series(
                    name, [value / (step / 1e6) for value in values], newest(every) - one.version, dashed=one.route != "live"
                )
            )
    return made
