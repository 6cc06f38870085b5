"""From verdicts to alarms: what begins, what ends, what is told. Pure: windows in, alarms out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from salver.monitors.judge import LEVELS, Finding, Level
from salver.monitors.rule import Rule

_US = 1_000_000
_USUAL = Rule()


class Alarm(msgspec.Struct):
    """Something that is, or was, wrong: from the first bad window on. `until_us` is None while it lasts.

    `query` finds the rows to look at; `advice` says what to do.
    """

    id: str
    track: str
    model: str
    version: int
    kind: str
    column: str
    level: Level
    since_us: int
    until_us: int | None = None
    what: str = ""
    query: str = ""
    advice: str = ""


ADVICE = {
    "drift": "Find out what changed upstream of this column. If the change is real and answers are still right, make this "
    "window the new reference: salver monitor --promote. If accuracy falls too, train again on newer rows.",
    "score": "The model's answers moved. Look at the columns that moved most; check labels as they come, and roll back if this "
    "began with a promotion.",
    "missing": "A source or a join of this column fails. Ask who delivers it.",
    "not_finite": "A division by zero or an overflow upstream of this column.",
    "out_of_range": "A change of unit, a parsing error, or new cases that the model never saw.",
    "unseen": "A new category. The model treats it as unknown: train again when it is there to stay.",
    "type": "A caller sends this column as another type.",
    "stuck": "A sensor, a default value or a cache upstream: all rows have the same value.",
    "duplicates": "A caller sends the same rows again: a retry loop, or a job that runs twice.",
    "estimated": "By its own calibration the model is wrong more often on these rows. Get labels of some, and look at the "
    "columns that moved most.",
    "concept": "Labels contradict what the answers' probabilities promised: what the model learnt no longer holds. Train again "
    "on newer labels.",
    "stale": "No predictions come. Is the caller running, does its traffic reach this server?",
    "volume": "Much more or less traffic than usual. Ask the caller.",
}


class Judged(msgspec.Struct):
    """The findings of one window, labels included."""

    start_us: int
    end_us: int
    findings: list[Finding]


def alarms(track: str, windows: Sequence[Judged], rule: Rule) -> list[Alarm]:
    """All alarms that windows in order of time gave, those that ended too, the oldest first.

    One begins when `bad` of the last `of_last` windows are bad, and says the first of them. It ends when in none of the last
    `of_last` the effect is above `calm` of its threshold.
    """
    keys = sorted({(one.kind, one.column) for window in windows for one in window.findings if one.level != "ok"})
    found: list[Alarm] = []
    for kind, column in keys:
        series = [
            (window, next((one for one in window.findings if (one.kind, one.column) == (kind, column)), None))
            for window in windows
        ]
        found += _episodes(track, kind, column, series, rule)
    return sorted(found, key=lambda alarm: (alarm.since_us, alarm.id))


def _episodes(track: str, kind: str, column: str, series: Sequence[tuple[Judged, Finding | None]], rule: Rule) -> list[Alarm]:
    reference, _, _ = track.partition("/")
    model, _, version = reference.rpartition("@")
    made: list[Alarm] = []
    current: Alarm | None = None
    for i, (window, finding) in enumerate(series):
        last = series[max(0, i + 1 - rule.of_last) : i + 1]
        bad = [(of, one) for of, one in last if one is not None and one.level != "ok"]
        if current is None and finding is not None and finding.level != "ok" and len(bad) >= rule.bad:
            since = bad[0][0].start_us
            current = Alarm(f"{track} {kind} {column} {since}", track, model, int(version), kind, column, finding.level, since)
            current.advice = ADVICE[kind]
            made.append(current)
        if current is not None and finding is not None and finding.level != "ok":
            current.level = LEVELS[max(LEVELS.index(current.level), LEVELS.index(finding.level))]
            current.what = told(finding)
            current.query = query(current, finding, window)
        if current is not None and len(last) == rule.of_last and not any(uneasy(one, rule) for _, one in last):
            current.until_us = window.end_us
            current = None
    return made


def uneasy(finding: Finding | None, rule: Rule) -> bool:
    """Whether it is bad, or so near to it that an alarm does not end."""
    if finding is None:
        return False
    return finding.level != "ok" or (finding.q < rule.rate and finding.effect.value > rule.calm * _line(finding, rule))


def _line(finding: Finding, rule: Rule) -> float:
    """The threshold of the effect."""
    if finding.kind in ("drift", "score"):
        return rule.warn
    if finding.kind in ("estimated", "concept"):
        return rule.accuracy
    return rule.duplicates if finding.kind == "duplicates" else rule.missing


def told(finding: Finding) -> str:
    """A finding in a line, for people."""
    name, before, now = called(finding.column), finding.before or 0.0, finding.now or 0.0
    if finding.kind in ("drift", "score"):
        parts = [f"{cell.name}: {_percent(cell.before)} → {_percent(cell.now)} of rows" for cell in finding.cells[:2]]
        return f"{name} {moved(finding.effect.value)}" + (f": {'; '.join(parts)}" if parts else "")
    if finding.kind == "stuck":
        return f"{name}: always the same value"
    if finding.kind in ("estimated", "concept"):
        said = "by labels" if finding.kind == "concept" else "probably"
        if now < before:  # worse: what fell is accuracy, what rose an error
            return f"{said} {_percent(now)} of answers are right, where {_percent(before)} were expected"
        return f"{said} answers are off by {now:.4g} in the mean, where {before:.4g} was expected"
    return f"{name}: {finding.kind.replace('_', ' ')} in {_percent(now)} of rows, before in {_percent(before)}"


def moved(effect: float) -> str:
    """How far something is from the reference, in words: the thresholds are those of the default rule."""
    words = ((_USUAL.warn, "is as before"), (_USUAL.alert, "moved a little"), (0.5, "moved"))
    return next((word for line, word in words if effect <= line), "moved far")


def called(column: str) -> str:
    """What people call a column of the inputs or the outputs."""
    if column == "*":
        return "rows"
    output, _, of = column.partition(":")
    return (
        "the answer" if column == "prediction" else f"the probability of {of}" if output == "probabilities" and of else column
    )


def _percent(share: float) -> str:
    """With as many digits as say something: what is not nothing is not called 0 %."""
    return f"{share:.1%}" if share >= 0.001 or not share else f"{share:.2%}" if share >= 0.0001 else "under 0.01%"


def query(alarm: Alarm, finding: Finding, window: Judged) -> str:
    """A `salver log query` that shows rows to look at: pasteable in a shell."""
    column = "" if finding.column == "*" else f", inputs->>'/{finding.column.replace('~', '~0').replace('/', '~1')}' as value"
    if finding.kind in ("score", "estimated", "concept"):
        column = ", outputs"
    sql = (
        f"select time, id{column} from predictions where model = '{alarm.model}' and version = {alarm.version} "
        f"and ts >= {window.start_us} and ts < {window.end_us} {_condition(finding)}order by ts desc limit 20"
    )
    escaped = sql.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
    return f'salver log query "{escaped}"'


def _condition(finding: Finding) -> str:
    pointer = "'/" + finding.column.replace("~", "~0").replace("/", "~1").replace("'", "''") + "'"
    if finding.kind == "missing":
        return f"and inputs->>{pointer} is null "
    if finding.kind in ("unseen", "out_of_range", "type"):
        return f"and flags->>{pointer} = '{finding.kind}' "
    return ""


def stale(track: str, last_us: int, starts: Sequence[int], now_us: int, rule: Rule) -> Iterable[Alarm]:
    """No rows for `stale_s`, or for three times the longest pause there was, where that is more."""
    pauses = [b - a for a, b in pairwise(starts)]
    quiet_us = max(rule.stale_s * _US, 3 * max(pauses, default=0))
    if len(starts) >= 12 and now_us - last_us > quiet_us:
        yield _plain(track, "stale", last_us, f"no predictions for {(now_us - last_us) / 3.6e9:.1f} hours")


def volume(track: str, hours: Sequence[tuple[int, int]], rule: Rule) -> Iterable[Alarm]:
    """The last whole hour against the median of those before: (start, rows), of a day at least, and beyond chance.

    Traffic sways by more than Poisson's law says; its own spread (the median distance from the median) is the measure.
    """
    if len(hours) < 25:
        return
    before: defaultdict[str, list[int]] = defaultdict(list)
    for _, rows in hours[:-1]:
        before["rows"].append(rows)
    ordered = sorted(before["rows"])
    middle = ordered[len(ordered) // 2]
    spread = sorted(abs(rows - middle) for rows in ordered)[len(ordered) // 2] * 1.4826
    start, rows = hours[-1]
    far = abs(rows - middle) > 4 * max(spread, middle**0.5)
    if far and not middle / rule.volume <= rows <= middle * rule.volume:
        yield _plain(track, "volume", start, f"{rows} predictions in an hour, where {middle} are usual")


def _plain(track: str, kind: str, since_us: int, what: str) -> Alarm:
    reference, _, _ = track.partition("/")
    model, _, version = reference.rpartition("@")
    query = f"salver log query \"select time, id from predictions where model = '{model}' order by ts desc limit 20\""
    name = f"{track} {kind} {since_us}"
    return Alarm(name, track, model, int(version), kind, "*", "warn", since_us, None, what, query, ADVICE[kind])


class Notice(msgspec.Struct):
    """A message about an alarm: that it began, or that it ended."""

    alarm: Alarm
    ended: bool = False


def notices(now_us: int, every: Iterable[Alarm], told_before: dict[str, tuple[int, int, int]]) -> list[Notice]:
    """What has not been told yet: each beginning once, each end once if its beginning was told, nothing that is silent."""
    made: list[Notice] = []
    for alarm in every:
        begun, ended, silent = told_before.get(alarm.id, (0, 0, 0))
        if silent > now_us:
            continue
        if alarm.until_us is None and not begun:
            made.append(Notice(alarm))
        elif alarm.until_us is not None and begun and not ended:
            made.append(Notice(alarm, ended=True))
    return made
