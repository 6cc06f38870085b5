"""How a model does, in one word and since when. Pure: what the monitor found in, a state out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from salver.monitors.alarm import Alarm
from salver.monitors.judge import Finding
from salver.monitors.results import Watched

State = Literal["down", "alert", "warn", "unknown", "fine"]
STATES: tuple[State, ...] = ("down", "alert", "warn", "unknown", "fine")
"""The worst first."""

_KINDS = {
    "drift": "input moved",
    "score": "answers moved",
    "missing": "values are missing",
    "not_finite": "values are not finite",
    "out_of_range": "values are out of range",
    "unseen": "values were never seen",
    "type": "values came as another type",
    "stuck": "one and the same value",
    "duplicates": "rows come twice",
    "estimated": "accuracy probably falls",
    "concept": "answers are wrong more often",
    "stale": "no predictions come",
    "volume": "unusual traffic",
}
_GRAVITY = (
    "concept",
    "estimated",
    "stale",
    "drift",
    "missing",
    "not_finite",
    "out_of_range",
    "unseen",
    "type",
    "stuck",
    "score",
)


class Health(NamedTuple):
    """`since_us`: since when it is so; None where nobody knows. `lasting` are the alarms that last, the gravest first."""

    state: State
    word: str
    since_us: int | None
    lasting: list[Alarm]
    last: Alarm | None


def kind(name: str) -> str:
    """What an alarm or a finding is called."""
    return _KINDS.get(name, name.replace("_", " "))


def gravity(alarm: Alarm) -> tuple[bool, int, int]:
    """What is put first."""
    return alarm.level != "alert", _GRAVITY.index(alarm.kind) if alarm.kind in _GRAVITY else len(_GRAVITY), alarm.since_us


def health(state: str, every: Sequence[Watched], answering: Iterable[int]) -> Health:
    """Of a model in `state` here, whose versions `answering` take requests. What is wrong with others is past."""
    tracks = [one for one in every if one.version in set(answering) and not one.segment]
    alarms = [alarm for one in tracks for alarm in one.alarms]
    lasting = sorted((alarm for alarm in alarms if alarm.until_us is None), key=gravity)
    past = [alarm for one in every if not one.segment for alarm in one.alarms]
    last = lasting[0] if lasting else max(past, key=lambda alarm: alarm.since_us, default=None)
    if state != "ready":
        return Health("down", "does not answer" if state == "failed" else state, None, lasting, last)
    if lasting:
        worst = lasting[0]
        level: State = "alert" if worst.level == "alert" else "warn"
        return Health(level, kind(worst.kind), min(alarm.since_us for alarm in lasting), lasting, last)
    windows = [window for one in tracks for window in one.windows]
    if not windows:
        return Health("unknown", _waiting(tracks), None, [], last)
    began = min(window.start_us for window in windows)
    return Health("fine", "fine", max([began, *(alarm.until_us or 0 for alarm in past)]), [], last)


def _waiting(tracks: Sequence[Watched]) -> str:
    needs = max((one.needs_rows for one in tracks if not one.segment), default=0)
    if not tracks:
        return "not watched yet"
    return f"needs {needs:,} more rows" if needs else "the first hour is not over"


def main_track(every: Sequence[Watched], version: int | None, route: str = "live") -> Watched | None:
    """All rows of one version by one route; the one with most rows where the route has none."""
    of = [one for one in every if one.version == version and not one.segment]
    return next((one for one in of if one.route == route), max(of, key=lambda one: one.rows, default=None))


def moved(one: Watched | None) -> list[Finding]:
    """What is wrong in the last window, the worst first."""
    if one is None or not one.windows:
        return []
    found = [finding for finding in one.windows[-1].findings if finding.level != "ok"]
    return sorted(found, key=lambda finding: (finding.level != "alert", -finding.rank))
