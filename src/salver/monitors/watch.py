"""One look at a log: count what is new, judge windows that are complete, hold labels against estimates, find alarms.

Everything is made from the log and written in transactions, so that a look can be killed at any point and the next goes on.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np

from salver.log.heads import Origin
from salver.log.joined import joined
from salver.log.settings import read_settings as read_log_settings
from salver.log.signatures import noted_of
from salver.log.table import LABELLED, Table
from salver.log.view import steadily
from salver.monitors.alarm import Judged, alarms, stale, volume
from salver.monitors.calibration import Calibration, Errors
from salver.monitors.first import first_rows
from salver.monitors.judge import Finding, Verdict, judge, needed
from salver.monitors.labelled import Known, Labelled, known, labelled, refitted
from salver.monitors.profile import Profile
from salver.monitors.reading import Reader
from salver.monitors.results import Seen, Watched, write_results
from salver.monitors.settings import Settings
from salver.monitors.slices import Slicer, grown
from salver.monitors.store import NEVER_US, Reference, Store, Track
from salver.monitors.tally import Tally
from salver.monitors.window import Window

if TYPE_CHECKING:
    import duckdb

_DAY_US = 86_400 * 1_000_000
_LOOK_BACK_US = 7 * _DAY_US  # for labels that calibration is refitted by
KEPT = 2200  # windows that alarms look back on: ninety days of hours

_Read = TypeVar("_Read")
ProfileOf = Callable[[str, int], Profile | None]
"""Finds the profile that a version was saved with."""


def look(log: Path, settings: Settings, profile_of: ProfileOf, now_us: int | None = None) -> list[Watched]:
    """Look once. Raises ConfigError when the log can't be read."""
    store = Store(log)
    now = time.time_ns() // 1000 if now_us is None else now_us
    try:
        store.slice_by(settings.slice_us)
        store.forget(now - int(read_log_settings(log).keep_days * _DAY_US))
        waiting = _tallied(log, store, settings, lambda tally: _count(tally, log, store, settings, profile_of, now))
        found = [_watched(log, store, track, settings, now) for track in store.tracks()]
        _add_traffic(store, found, settings, now)
    finally:
        store.close()
    write_results(log, [*found, *waiting], now)
    return [*found, *waiting]


def promote(log: Path, settings: Settings, model: str, version: int, since_us: int, until_us: int) -> int:
    """Make a window of production the reference; how many rows it has. Raises ConfigError for too few."""
    store, origin = Store(log), Origin(model, version, "live")
    try:
        store.slice_by(settings.slice_us)
        made, _ = _tallied(log, store, settings, lambda tally: first_rows(tally, log, origin, since_us, until_us, "window"))
        with store.changing():
            store.put_reference(model, version, Reference(made, until_us))
    finally:
        store.close()
    return made.rows


def _tallied(log: Path, store: Store, settings: Settings, read: Callable[[Tally], _Read]) -> _Read:
    """What is read of the log's tally. Raises ConfigError."""

    def tallied(connection: duckdb.DuckDBPyConnection, scratch: Path) -> _Read:
        connection.execute("set threads = 1; set enable_external_file_cache = false")  # predictions come first
        tally = Tally(log, store, connection, settings.slice_us, scratch)
        tally.refresh()
        return read(tally)

    return steadily(tallied)


def _count(tally: Tally, log: Path, store: Store, settings: Settings, profile_of: ProfileOf, now: int) -> list[Watched]:
    """Count slices that are complete and not counted; what can't be counted yet."""
    slice_us, until = settings.slice_us, settings.complete_us(now)
    waiting: list[Watched] = []
    rows = tally.rows
    for origin, every in sorted(rows.items()):
        there = {start: count for start, count in every.items() if start < until}
        if not there:
            continue
        signature, track = noted_of(log, origin.model, origin.version), Track(*origin)
        if signature is None:
            waiting.append(_waiting(track, there, slice_us, "the log does not have the signature of this version"))
            continue
        reference = store.reference(*origin[:2]) or _found(tally, log, store, settings, profile_of, origin)
        if reference is None:
            short = settings.first_rows - sum(there.values())
            waiting.append(_waiting(track, there, slice_us, "collecting a reference from the first rows", max(short, 0)))
            continue
        slicer = Slicer(
            Reader(tally.connection, origin.model, origin.version, signature),
            lambda starts, one_of, origin=origin: tally.relations(origin, starts, one_of),
            reference.profile, origin.route, slice_us, settings.rows_a_slice, settings.of(origin.model).segments,
        )  # fmt: skip
        known = store.counted(track)
        news = {at: count for at, count in there.items() if at >= reference.since_us and count > known.get(at, 0)}
        for counted in slicer.counted(news, tally.hot(origin)):
            with store.changing():
                for segment, windows in counted.items():
                    store.put_slices(track._replace(segment=segment), windows.values())
    return waiting


def _found(
    tally: Tally, log: Path, store: Store, settings: Settings, profile_of: ProfileOf, origin: Origin
) -> Reference | None:
    """The profile that the version was saved with, else one of its first rows, once there are enough; of live ones, if any."""
    saved, live = profile_of(origin.model, origin.version), origin._replace(route="live")
    of = live if live in tally.rows else origin
    if saved is not None:
        reference = Reference(saved)
    elif sum(tally.rows[of].values()) < settings.first_rows:
        return None
    else:
        made, until = first_rows(tally, log, of, 0, NEVER_US, "first rows", settings.first_rows)
        reference = Reference(made, -(-until // settings.slice_us) * settings.slice_us)
    with store.changing():
        store.put_reference(origin.model, origin.version, reference)
    return reference


def _waiting(track: Track, there: dict[int, int], slice_us: int, state: str, needs: int = 0) -> Watched:
    total, last = sum(there.values()), max(there) + slice_us
    return Watched(*track, total, last, state, "none", 0, needs, "", None, [], [])


def _watched(log: Path, store: Store, track: Track, settings: Settings, now: int) -> Watched:
    reference = store.reference(track.model, track.version)
    assert reference is not None
    profile, rule = reference.profile, settings.rule_of(track.model)
    before = store.verdicts(track, 1)
    since = before[-1].end_us if before else 0
    closed, growing = grown(store.slices(track, since), needed(profile, rule), settings.span_us(track.model))
    newer = _refitted(log, track, reference, closed)
    with store.changing():
        for window, by in zip(closed, newer, strict=True):
            store.put_verdict(track, _short(judge(profile, window, rule, by)))
    verdicts = store.verdicts(track, KEPT)
    seen = [Seen(of.start_us, of.end_us, of.rows, of.counted, of.findings, of.estimated) for of in verdicts]
    if not track.segment:
        _hold(log, track, profile, seen, rule)
    found = alarms(str(track), [Judged(one.start_us, one.end_us, one.findings) for one in seen], rule)
    counted = store.counted(track)
    last = store.slices(track, max(counted))[-1].last_us
    measure = "accuracy" if profile.calibration else "mae" if profile.errors else ""
    short = 0 if growing is None else max(0, needed(profile, rule) - round(growing.weight / growing.design_effect))
    return Watched(
        *track, rows=sum(counted.values()), last_us=last, state="", reference=profile.source, reference_rows=profile.rows,
        needs_rows=short, measure=measure, expected=profile.performance.get(measure), windows=seen, alarms=found,
    )  # fmt: skip


def _add_traffic(store: Store, found: list[Watched], settings: Settings, now: int) -> None:
    """Alarms of a model that nobody asks any more, or many more or fewer than usual. Said of the version that answered last.

    Its versions are taken together: of one that another replaced, nothing comes, and nothing is wrong.
    """
    models: defaultdict[str, list[Watched]] = defaultdict(list)
    for one in found:
        if one.route in ("live", "canary") and not one.segment:
            models[one.model].append(one)
    for model, ones in models.items():
        counted: Counter[int] = Counter()
        for one in ones:
            counted.update(store.counted(Track(model, one.version, one.route)))
        newest, rule = max(ones, key=lambda one: one.last_us), settings.rule_of(model)
        track = str(Track(model, newest.version, newest.route))
        newest.alarms += stale(track, newest.last_us, sorted(counted), now, rule)
        newest.alarms += volume(track, _hours(counted, settings.slice_us), rule)


def _short(verdict: Verdict) -> Verdict:
    """Without what nobody will ask for: rates that did not rise, and the parts of columns that did not move."""
    kept = [one for one in verdict.findings if one.kind in ("drift", "score", "estimated") or one.p < 0.05]
    for one in kept:
        if one.level == "ok":
            one.cells = []
    return msgspec.structs.replace(verdict, findings=kept)


def _hours(counted: dict[int, int], slice_us: int) -> list[tuple[int, int]]:
    """Rows of whole hours, the last week's."""
    hour = _DAY_US // 24
    made: defaultdict[int, int] = defaultdict(int)
    for start, rows in counted.items():
        made[start // hour * hour] += rows
    if not made:
        return []
    last = max(made) if max(counted) % hour == hour - slice_us else max(made) - hour
    return [(at, made[at]) for at in range(max(min(made), last - 7 * 24 * hour), last + hour, hour)]


def _known(log: Path, track: Track, profile: Profile, since_us: int, until_us: int) -> Known | None:
    """Labelled rows between two times, where there are any and there is something to hold them against."""
    if (profile.calibration is None and profile.errors is None) or not Table(log, LABELLED).folder.is_dir():
        return None
    signature = noted_of(log, track.model, track.version)
    if signature is None:
        return None
    output = signature.prediction
    with joined(log, track.model, output.name) as rows:
        return known(rows, profile, track, output.classes or (), since_us, until_us)


def _refitted(log: Path, track: Track, reference: Reference, closed: list[Window]) -> list[Calibration | Errors | None]:
    """For each window the calibration by the labels that were there when it ended; None: the reference's."""
    by = reference.profile.calibration or reference.profile.errors
    since = max(closed[0].start_us - _LOOK_BACK_US, reference.since_us) if closed else 0
    rows = _known(log, track, reference.profile, since, closed[-1].start_us) if closed else None
    if rows is None or by is None:
        return [None] * len(closed)
    return refitted(rows, by, np.array([[one.start_us, one.end_us] for one in closed]))


def _hold(log: Path, track: Track, profile: Profile, seen: list[Seen], rule: Any) -> None:
    """Labels of each window beside what was expected of its rows."""
    rows = _known(log, track, profile, seen[0].start_us, seen[-1].end_us) if seen else None
    if rows is None:
        return
    bounds = np.array([[one.start_us, one.end_us] for one in seen])
    for one, of in zip(seen, labelled(rows, profile, bounds), strict=True):
        if of is not None:
            one.realised, one.labelled = of.realised, of.rows
            one.findings = [*one.findings, _concept(of, rule)]


def _concept(of: Labelled, rule: Any) -> Finding:
    finding = Finding("concept", "prediction", of.p, of.worse, of.expected, of.realised.value, q=of.p)
    if of.p < rule.rate and of.worse.value > rule.accuracy:
        finding.level = "alert"
    return finding
