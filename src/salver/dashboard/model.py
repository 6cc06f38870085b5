"""The page of one model: its versions, its route, and whether it is still right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from salver.artifact.described import how_served
from salver.artifact.manifest import Manifest
from salver.dashboard import words
from salver.dashboard.charts import Bar, Chart, Mark, Series, bars, of_estimates
from salver.dashboard.health import main_track
from salver.dashboard.known import HOUR_US, Known
from salver.dashboard.live import Live, Pace
from salver.dashboard.messages import Served
from salver.dashboard.overview import HOURS, Role, roles
from salver.monitors.bins import NumberBins
from salver.monitors.estimate import Estimate
from salver.monitors.judge import Finding
from salver.monitors.profile import ColumnProfile
from salver.monitors.results import Seen, Watched
from salver.monitors.store import Track
from salver.registry.route import Route

_SLICE_US = 900 * 1_000_000
SHOWN_COLUMNS = 8
_POINTS = 500


class Version(NamedTuple):
    """A version as the registry, the server and the monitor have it."""

    number: int
    roles: list[Role]
    state: str
    why: str
    manifest: Manifest | None
    proof: list[str]
    by: str
    at_us: int
    note: str
    tags: dict[str, str]
    pace: Pace | None


class Changed(NamedTuple):
    """An edit of the route."""

    number: int
    at_us: int
    by: str
    why: str
    what: list[str]
    champion: int | None


class Distribution(NamedTuple):
    """A column, or an answer, as it was and as it is. `finding` is None where the window does not have it."""

    name: str
    is_output: bool
    finding: Finding
    bars: list[Bar]
    facts: list[tuple[str, str]]
    ends: tuple[str, str] | None  # the smallest and the largest number of the reference


def versions(known: Known, live: Live, served: Served) -> list[Version]:
    """All that there are, the newest first."""
    in_force = roles(served)
    here = {one["version"]: one for one in served.followed.get("versions", ())}
    route = (known.history(served.name) or [Route()])[-1] if served.followed else Route()
    numbers = sorted({*(known.versions(served.name) if served.followed else ()), *served.versions}, reverse=True)
    made: list[Version] = []
    for number in numbers:
        manifest, claim = (
            (known.manifest(served.name, number), known.claim(served.name, number)) if served.followed else (None, None)
        )
        status: dict[str, Any] = here.get(number, {})
        ready = "ready" if number in served.versions else "not loaded"
        keys = [key for key in live.keys(served.name) if key[1] == number]
        made.append(
            Version(
                number,
                [role for role in in_force if role.version == number],
                status.get("state", ready),
                status.get("why", ""),
                manifest,
                how_served(manifest) if manifest else served.proof,
                claim.by if claim else "",
                words.us_of(claim.at if claim else manifest.created if manifest else ""),
                claim.why if claim else "",
                {**(manifest.tags if manifest else {}), **route.tags.get(number, {})},
                live.pace(keys) if keys else None,
            )
        )
    return made


def changes(history: Sequence[Route]) -> list[Changed]:
    """What was done to the route, the latest first."""
    before = [Route(), *history]
    made = [
        Changed(now.number, words.us_of(now.at), now.by, now.why, now.since(was), now.named(now.default))
        for was, now in zip(before, history, strict=False)
    ]
    return made[::-1]


def newest(every: Sequence[Watched]) -> int:
    """The highest version: it has the first colour, and those before it the next ones."""
    return max((one.version for one in every), default=0)


def deploys(history: Sequence[Route], since_us: float = 0) -> list[Mark]:
    """When other versions began to answer, or to be asked."""
    marks: list[Mark] = []
    for change in changes(history)[::-1]:
        told = [what for what in change.what if not what.startswith("tags")]
        if told and change.at_us >= since_us:
            marks.append(Mark(change.at_us / 1e6, ", ".join(told)))
    return marks


def traffic(known: Known, model: str, every: Sequence[Watched], history: Sequence[Route], now_s: float) -> Chart:
    """Predictions of the last day by version and route, a quarter of an hour a point."""
    until = int(now_s * 1e6) // _SLICE_US * _SLICE_US
    first = until - HOURS * HOUR_US
    count = (until - first) // _SLICE_US
    series: list[Series] = []
    tracks = sorted((one for one in every if not one.segment), key=lambda one: (-one.version, one.route))
    for one in tracks:
        found = known.rows_since(Track(model, one.version, one.route), first)
        values = [0.0] * count
        for start, rows in found.items():
            if (at := (start - first) // _SLICE_US) < count:
                values[at] += rows
        if any(values):
            name = f"version {one.version}" + ("" if one.route == "live" else f", {one.route}")
            per_s: list[float | None] = [value / (_SLICE_US / 1e6) for value in values]
            series.append(Series(name, per_s, newest(every) - one.version, dashed=one.route != "live"))
    x = [(first + i * _SLICE_US) / 1e6 for i in range(count)]
    return Chart("Predictions a second, by version", x, series, "/s", deploys(history, first), x[0], x[-1], area=True)


def now_charts(live: Live, model: str, newest: int) -> tuple[Chart, Chart]:
    """Requests a second, and the latency that 99 of 100 requests stay below, of the last half hour."""
    rate, slow = (
        Chart("Requests a second", [], [], "/s", area=True),
        Chart("Latency, 99 of 100 requests are faster", [], [], "ms"),
    )
    for key in live.keys(model):
        points = live.series(key)
        if not points or not any(pace.requests_per_s for _, pace in points):
            continue
        name = f"version {key[1]}" + ("" if key[2] == "live" else f", {key[2]}")
        rate.x = slow.x = [at for at, _ in points]
        rate.series.append(Series(name, [pace.requests_per_s for _, pace in points], newest - key[1], dashed=key[2] != "live"))
        p99 = [None if pace.p99_s is None else pace.p99_s * 1000 for _, pace in points]
        slow.series.append(Series(name, p99, newest - key[1], dashed=key[2] != "live"))
    return rate, slow


def accuracy_chart(every: Sequence[Watched], main: Watched, marks: list[Mark]) -> Chart | None:
    """By labels, window by window, of each version that answers or did; estimated, of the one that is looked at."""
    if not main.measure or not main.windows:
        return None
    tracks = [one for one in every if not one.segment and one.route != "shadow" and one.windows and one.measure == main.measure]
    times = sorted({window.start_us for one in tracks for window in one.windows})[-_POINTS:]
    made = Chart(
        "Accuracy" if main.measure == "accuracy" else "Mean absolute error",
        [at / 1e6 for at in times],
        [],
        "%" if main.measure == "accuracy" else "",
        [mark for mark in marks if times[0] <= mark.x * 1e6 <= times[-1] + HOUR_US],
        zero=False,
    )
    for one in sorted(tracks, key=lambda one: -one.version):
        by_time = {window.start_us: window for window in one.windows}
        found = [by_time.get(at) for at in times]
        name = f"version {one.version}" + ("" if one.route == "live" else f", {one.route}")
        if any(window and window.realised for window in found):
            made.series.append(
                of_estimates(f"{name}, by labels", [w.realised if w else None for w in found], newest(every) - one.version)
            )
        if one is main:
            estimates = [window.estimated.get(one.measure) if window else None for window in found]
            made.series.append(of_estimates(f"{name}, estimated", estimates, newest(every) - one.version, dashed=True))
    if main.expected:
        made.level, made.level_label = main.expected.value, f"version {main.version} at save"
    return made


def cause(since_us: int | None, history: Sequence[Route]) -> Changed | None:
    """The change of the route nearest to a beginning, within the hour that a window spans."""
    if since_us is None:
        return None
    near = [
        one
        for one in changes(history)
        if abs(one.at_us - since_us) <= HOUR_US and any(not w.startswith("tags") for w in one.what)
    ]
    return min(near, key=lambda one: abs(one.at_us - since_us), default=None)


def distributions(known: Known, one: Watched, seen: Seen) -> list[Distribution]:
    """Answers first, then inputs, by effect × importance."""
    profile = known.reference(one.model, one.version)
    window = known.window(Track(one.model, one.version, one.route, one.segment), seen.start_us)
    if profile is None or window is None:
        return []
    made: list[Distribution] = []
    for finding in seen.findings:
        if finding.kind not in ("drift", "score"):
            continue
        is_output = finding.kind == "score"
        of = (profile.outputs if is_output else profile.columns).get(finding.column)
        counts = window.counts.get(f"{'out' if is_output else 'in'}:{finding.column}")
        if of is None or counts is None:
            continue
        drawn = bars(of.bins, list(of.counts), counts.tolist())
        made.append(Distribution(finding.column, is_output, finding, drawn, _facts(of, finding), _ends(of)))
    return sorted(made, key=lambda one: (not one.is_output, -one.finding.rank, one.name))


def _ends(of: ColumnProfile) -> tuple[str, str] | None:
    edges = getattr(of.bins, "edges", ())
    return (words.number(edges[0]), words.number(edges[-1])) if edges else None


def _facts(of: ColumnProfile, finding: Finding) -> list[tuple[str, str]]:
    told = [("PSI beyond chance", f"{max(finding.effect.value, 0.0):.3f}")]
    if finding.importance is not None:
        told.append(("importance", words.number(finding.importance)))
    if isinstance(of.bins, NumberBins) and of.mean is not None:
        told.append(("mean before", words.plain(of.mean)))
    told += [
        (name.upper() if name in ("js", "ks") else name, f"{value:.3f}")
        for name, value in finding.distances.items()
        if name != "psi"
    ]
    return told


def quality(seen: Seen) -> list[Finding]:
    """Rates that rose: what is wrong first."""
    apart = {"drift", "score", "estimated", "concept"}
    found = [finding for finding in seen.findings if finding.kind not in apart]
    return sorted(found, key=lambda finding: (finding.level == "ok", -finding.rank, finding.column))


class Segment(NamedTuple):
    """Rows that have a value in a column, beside all rows."""

    name: str
    rows: int
    level: str
    moved: list[str]
    estimated: Estimate | None


def segments(every: Sequence[Watched], main: Watched) -> list[Segment]:
    """What is watched apart, the worst first."""
    made: list[Segment] = []
    for one in every:
        if not one.segment or (one.version, one.route) != (main.version, main.route) or not one.windows:
            continue
        last = one.windows[-1]
        bad = [finding for finding in last.findings if finding.level != "ok"]
        level = "alert" if any(f.level == "alert" for f in bad) else "warn" if bad else "fine"
        made.append(
            Segment(one.segment, one.rows, level, list(dict.fromkeys(f.column for f in bad)), last.estimated.get(one.measure))
        )
    return sorted(made, key=lambda one: (("alert", "warn", "fine").index(one.level), -one.rows))


def chosen(every: Sequence[Watched], served: Served, version: str, window: str) -> tuple[Watched | None, Seen | None]:
    """What of the monitor the page shows: the version and the window that were asked for, else those in force."""
    in_force = roles(served)
    number = int(version) if version.isdecimal() else in_force[0].version if in_force else None
    main = main_track(every, number)
    if main is None or not main.windows:
        return main, None
    return main, next((seen for seen in main.windows if str(seen.start_us) == window), main.windows[-1])
