"""A model's report as one HTML file: nothing is fetched, no script runs, everything that comes from data is escaped.

In the order in which it matters: is anything wrong, are answers right, do answers look as they did, which inputs moved, is the
data whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from salver.monitors.alarm import Alarm, called, moved, told
from salver.monitors.channels import moment
from salver.monitors.estimate import Estimate
from salver.monitors.judge import Finding
from salver.monitors.results import Seen, Watched

_WIDTH, _HEIGHT, _PAD = 680, 130, 44
_SHOWN = 40  # columns in a table; the most moved
_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--dim:#5b6573;--paper:#fff;--line:#e3e6ea;--card:#f6f7f9;--one:#1b62b5;
--two:#a86100;--good:#2e7d4f;--warn:#a86100;--alert:#b3261e;--on:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--dim:#a3adba;--paper:#14181e;--line:#333b46;--card:#1d232b;--one:#7db4f5;
--two:#e3a450;--good:#7fd0a0;--warn:#e3a450;--alert:#ff8f85;--on:#14181e}}
body{font:15px/1.5 system-ui,sans-serif;max-width:760px;margin:2em auto;padding:0 1em;color:var(--ink);background:var(--paper)}
h1{font-size:1.6em;margin:0}h2{font-size:1.15em;margin:2em 0 .3em}p{margin:.3em 0}.lead{font-size:1.1em;margin:.8em 0}
.good,.warn,.alert{padding:.1em .6em;border-radius:1em;color:var(--on);font-size:.85em;white-space:nowrap}
.good{background:var(--good)}.warn{background:var(--warn)}.alert{background:var(--alert)}
.card{border-left:4px solid var(--warn);padding:.5em 1em;margin:.8em 0;background:var(--card)}.worst{border-color:var(--alert)}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3em .6em .3em 0;border-bottom:1px solid var(--line)}
td,th{vertical-align:top}td:first-child{overflow-wrap:anywhere}
code{font-size:.8em;overflow-wrap:anywhere}small,.dim,figcaption,summary{color:var(--dim)}summary{cursor:pointer;font-size:.9em}
figure{margin:.6em 0}figcaption{display:flex;flex-wrap:wrap;gap:.2em 1.4em;font-size:.85em;padding-left:44px}
figcaption :last-child{margin-left:auto}
svg{width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:var(--dim)}.s{fill:none;stroke-width:2}
.one{stroke:var(--one);color:var(--one)}.two{stroke:var(--two);color:var(--two)}.grid{stroke:var(--line)}
polygon.one{fill:var(--one)}polygon.two{fill:var(--two)}polygon{stroke:none;opacity:.15}
@media(max-width:560px){svg text{font-size:20px}tr{display:grid;grid-template-columns:1fr auto}
tr{border-bottom:1px solid var(--line)}td,th{border:0}td.wide{grid-column:1/-1;padding-top:0}.spark,th{display:none}}
"""
_LINE = "The line over time is how far it was from the reference; above the dotted one it is worth a look."
_WORDS = {
    "concept": "answers are wrong more often",
    "estimated": "answers are probably wrong more often",
    "score": "answers moved",
    "drift": "input moved",
}
"""What the commonest alarms are called, the worst first."""
_OUTPUTS = ("concept", "estimated", "score")
_CSP = "default-src 'none'; style-src 'unsafe-inline'"


def page(model: str, every: Sequence[Watched]) -> str:
    """The report of a model: each version and route that has rows."""
    parts = [_version(one) for one in sorted(every, key=lambda one: (-one.version, one.route != "live", one.segment))]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"/><title>{escape(model)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_CSP}">'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>{"".join(parts)}</body></html>'
    )


def _version(one: Watched) -> str:
    name = f"{one.model}@{one.version}" + (f", {one.segment}" if one.segment else "")
    lasting = [alarm for alarm in one.alarms if alarm.until_us is None]
    level = "alert" if any(alarm.level == "alert" for alarm in lasting) else "warn" if lasting else "good"
    word = {"alert": "something is wrong", "warn": "worth a look", "good": "nothing is wrong"}[level]
    head = (
        f'<h1>{escape(name)} <span class="{level}">{word if one.windows else "no verdict yet"}</span></h1>'
        f'<p class="dim">{one.rows:,} predictions by route {escape(one.route)}, the last at {moment(one.last_us)}. '
        f"Compared with {_reference(one)}.{_drawn(one)}</p>"
    )
    waits = one.state or ("the window that is growing" if one.needs_rows else "")
    waits += f" needs {one.needs_rows:,} more rows" if one.needs_rows else ""
    lasting.sort(key=_gravity)
    parts = [head, _lead(one, lasting), f"<p>{escape(waits)}</p>" if waits else "", *_cards(lasting)]
    if one.windows:
        parts += [_accuracy(one), _scores(one), _inputs(one), _quality(one), _past(one)]
    return "".join(parts)


def _lead(one: Watched, lasting: Sequence[Alarm]) -> str:
    """All of it in two sentences: the worst, since when, and what went with it."""
    if not lasting:
        last = f", in the {one.windows[-1].rows:,} predictions since {moment(one.windows[-1].start_us)}" if one.windows else ""
        return f'<p class="lead">Answers, inputs and data are as in the reference{last}.</p>' if one.windows else ""
    worst, since = lasting[0], min(alarm.since_us for alarm in lasting)
    said = worst.what[:1].upper() + worst.what[1:]
    inputs = list(dict.fromkeys(alarm.column for alarm in lasting[1:] if alarm.kind not in _OUTPUTS and alarm.column != "*"))
    more = f" and {len(inputs) - 3} more" if len(inputs) > 3 else ""
    beside = f" Look at {', '.join(inputs[:3])}{more}, which changed too." if inputs and worst.kind in _OUTPUTS else ""
    return f'<p class="lead">Since {moment(since)} something is not as it was. <b>{escape(said)}.</b>{escape(beside)}</p>'


def _reference(one: Watched) -> str:
    what = {"sample": "the rows it was saved with", "window": "a window of production that was promoted"}
    return f"{what.get(one.reference, 'its first rows, since it was saved without a sample')} ({one.reference_rows:,} rows)"


def _drawn(one: Watched) -> str:
    """What part of the last window was looked into, where it is not all."""
    last = one.windows[-1] if one.windows else None
    if last is None or last.counted >= last.rows:
        return ""
    return f" Of the last window's {last.rows:,} rows {last.counted:,} were looked into, drawn by their ids."


def _gravity(alarm: Alarm) -> tuple[bool, int]:
    order = list(_WORDS)
    return alarm.level != "alert", order.index(alarm.kind) if alarm.kind in order else len(order)


def _word(kind: str) -> str:
    return _WORDS.get(kind, kind.replace("_", " "))


def _cards(lasting: Sequence[Alarm]) -> Iterator[str]:
    """What is wrong, the worst first; what is of one kind together."""
    for kind in dict.fromkeys(alarm.kind for alarm in lasting):
        alarms = [alarm for alarm in lasting if alarm.kind == kind]
        level = min(alarms, key=_gravity).level
        told = "".join(f"<p><b>{escape(one.what)}</b> <small>since {moment(one.since_us)}</small></p>" for one in alarms)
        queries = "".join(f"<p><code>{escape(query)}</code></p>" for query in dict.fromkeys(one.query for one in alarms))
        yield (
            f'<div class="card{" worst" if level == "alert" else ""}"><span class="{level}">{escape(_word(kind))}</span>{told}'
            f"<p>{escape(alarms[0].advice)}</p><details><summary>rows to look at</summary>{queries}</details></div>"
        )


def _accuracy(one: Watched) -> str:
    if not one.measure:
        return "<h2>Accuracy</h2><p>Not known: the reference has no labels, so it can't be estimated before labels come.</p>"
    of, windows = one.measure, one.windows
    lines = [
        ("by labels", "one", [window.realised for window in windows]),
        ("estimated, before labels", "two", [window.estimated.get(of) for window in windows]),
    ]
    last, labelled = windows[-1], next((w for w in reversed(windows) if w.realised), None)
    is_share = of == "accuracy"
    said = [f"At save it was {_value(one.expected.value, is_share)}." if one.expected else ""]
    if labelled and labelled.realised:
        said.append(f"By the last {labelled.labelled:,} labels it is <b>{_range(labelled.realised, is_share)}</b>.")
    if of in last.estimated:
        said.append(f"Without labels, the last window is estimated at <b>{_range(last.estimated[of], is_share)}</b>.")
    dashed = " Dashed: at save." if one.expected else ""
    said.append(f"<small>In brackets, and shaded: what it may be by chance.{dashed}</small>")
    name = "How many answers are right" if is_share else "How far answers are off, in the mean"
    return f"<h2>{name}</h2><p>{' '.join(said)}</p>" + chart(
        windows, lines, one.expected.value if one.expected else None, is_share
    )


def _scores(one: Watched) -> str:
    found = [finding for finding in one.windows[-1].findings if finding.kind == "score"]
    return "<h2>What it answers</h2><p>Are the answers as they were?</p>" + _table(one, found) if found else ""


def _inputs(one: Watched) -> str:
    found = sorted((f for f in one.windows[-1].findings if f.kind == "drift"), key=lambda f: -f.rank)
    more = f"<p><small>and {len(found) - _SHOWN} more columns that moved less</small></p>" if len(found) > _SHOWN else ""
    lead = "<p>First what moved most, times how much answers hang on it.</p>"
    return f"<h2>What it is asked</h2>{lead}{_table(one, found[:_SHOWN])}{more}" if found else ""


def _table(one: Watched, found: Sequence[Finding]) -> str:
    rows = "".join(
        f"<tr><td>{escape(called(finding.column))}</td><td>{_badge(finding)}</td>"
        f"<td class='spark'>{_spark(one.windows, finding)}</td><td class='wide'><small>{_cells(finding)}</small></td></tr>"
        for finding in found
    )
    head = "<tr><th>column</th><th>now</th><th>over time</th><th>where rows went: before → now</th></tr>"
    return f"<table>{head}{rows}</table><p class='spark'><small>{_LINE}</small></p>"


def _badge(finding: Finding) -> str:
    word = moved(finding.effect.value).removeprefix("is ")
    return f"<span class='{finding.level}'>{word}</span>" if finding.level != "ok" else f"<span class='dim'>{word}</span>"


def _cells(finding: Finding) -> str:
    return "<br/>".join(f"{escape(cell.name)}: {cell.before:.0%} → {cell.now:.0%}" for cell in finding.cells)


def _quality(one: Watched) -> str:
    kinds = {"drift", "score", "estimated", "concept"}
    bad = [f for f in one.windows[-1].findings if f.kind not in kinds and f.level != "ok"]
    listed = "".join(f"<li>{escape(told(finding))}</li>" for finding in bad)
    whole = "<p>Yes: missing values, ranges, categories and types are as in the reference.</p>"
    return "<h2>Is the data whole?</h2>" + (f"<ul>{listed}</ul>" if bad else whole)


def _past(one: Watched) -> str:
    past = [alarm for alarm in one.alarms if alarm.until_us is not None][-10:]
    rows = "".join(
        f"<tr><td>{escape(_word(alarm.kind))}</td><td>{escape(called(alarm.column))}</td><td>{moment(alarm.since_us)}</td>"
        f"<td>{moment(alarm.until_us or 0)}</td></tr>"
        for alarm in reversed(past)
    )
    return (
        f"<h2>What is over</h2><table><tr><th>what</th><th>column</th><th>from</th><th>until</th></tr>{rows}</table>"
        if past
        else ""
    )


def _value(value: float, is_share: bool) -> str:
    return f"{value:.1%}" if is_share else f"{value:.4g}"


def _range(estimate: Estimate, is_share: bool) -> str:
    value, low, high = (_value(one, is_share) for one in (estimate.value, estimate.low, estimate.high))
    return f"{value} ({low} to {high})"


Line = tuple[str, str, list[Estimate | None]]


def chart(windows: Sequence[Seen], lines: Iterable[Line], level: float | None, is_share: bool) -> str:
    """Lines with their intervals over the windows, as SVG; a dashed one for what was measured at save."""
    lines = list(lines)
    every = [e for _, _, points in lines for e in points if e is not None]
    if not every:
        return ""
    low = min([e.low for e in every] + ([level] if level is not None else []))
    high = max([e.high for e in every] + ([level] if level is not None else []))
    margin = (high - low) * 0.08 or 0.01
    low, high = low - margin, high + margin

    def x(at: int) -> float:
        return _PAD + (at + 0.5) * (_WIDTH - _PAD) / len(windows)

    def y(value: float) -> float:
        return 10 + (high - value) / (high - low) * (_HEIGHT - 20)

    parts = [
        f'<text x="0" y="{y(value) + 4:.0f}">{f"{value:.0%}" if is_share else f"{value:.3g}"}</text>'
        f'<path class="grid" d="M{_PAD} {y(value):.1f}H{_WIDTH}"/>'
        for value in (low + margin, (low + high) / 2, high - margin)
    ]
    if level is not None:
        parts.append(f'<path d="M{_PAD} {y(level):.1f}H{_WIDTH}" stroke="currentColor" stroke-dasharray="5 4" opacity=".6"/>')
    told: list[str] = []
    for name, style, points in lines:
        known = [(x(at), e) for at, e in enumerate(points) if e is not None]
        if known:
            band = " ".join(f"{at:.1f},{y(e.high):.1f}" for at, e in known)
            band += " " + " ".join(f"{at:.1f},{y(e.low):.1f}" for at, e in reversed(known))
            line = " ".join(f"{at:.1f},{y(e.value):.1f}" for at, e in known)
            parts.append(f'<polygon class="{style}" points="{band}"/><polyline class="s {style}" points="{line}"/>')
            told.append(f'<span><span class="{style}" aria-hidden="true">━</span> {escape(name)}</span>')
    ends = f"{moment(windows[0].start_us)} to {moment(windows[-1].end_us)}"
    named = f'role="img" aria-label="From {ends}, as the text above has it for the last window"'
    drawn = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" xmlns="http://www.w3.org/2000/svg" {named}>{"".join(parts)}</svg>'
    return f"<figure>{drawn}<figcaption>{''.join(told)}<span>{ends}</span></figcaption></figure>"


def _spark(windows: Sequence[Seen], finding: Finding) -> str:
    """A column's effect over the last windows; the line is where a warning begins."""
    effects = [
        next((f.effect.value for f in w.findings if (f.kind, f.column) == (finding.kind, finding.column)), 0.0)
        for w in windows[-60:]
    ]
    high = max(*effects, 0.1)
    step = 110 / max(len(effects) - 1, 1)
    points = " ".join(f"{i * step:.1f},{22 - 20 * max(e, 0) / high:.1f}" for i, e in enumerate(effects))
    line = 22 - 20 * 0.02 / high
    return (
        f'<svg viewBox="0 0 110 24" style="width:110px" aria-hidden="true" xmlns="http://www.w3.org/2000/svg">'
        f'<path class="two" d="M0 {line:.1f}H110" stroke-dasharray="2 3"/>'
        f'<polyline class="s one" points="{points}"/></svg>'
    )
