"""A model's report as one HTML file: nothing is fetched, no script runs, everything that comes from data is escaped.

In the order in which it matters: is anything wrong, are answers right, do answers look as they did, which inputs moved, is the
data whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from salver.monitors.alarm import Alarm, told
from salver.monitors.channels import moment
from salver.monitors.estimate import Estimate
from salver.monitors.judge import Finding
from salver.monitors.results import Seen, Watched

_WIDTH, _HEIGHT, _PAD = 680, 150, 34
_PSI = "PSI is how far a distribution moved, less what chance does: 0 is not at all. Above the dotted line it is worth a look."
_SHOWN = 40  # columns in a table; the most moved
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:760px;margin:2em auto;padding:0 1em;color:#1c2430;background:#fff}
h1{font-size:1.6em;margin:0}h2{font-size:1.15em;margin:2em 0 .3em}p{margin:.3em 0}
.good,.warn,.alert{padding:.1em .6em;border-radius:1em;color:#fff;font-size:.85em;white-space:nowrap}
.good{background:#2e7d4f}.warn{background:#a86100}.alert{background:#b3261e}
.card{border-left:4px solid #a86100;padding:.4em 1em;margin:.8em 0;background:#faf7f2}.card.worst{border-color:#b3261e}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25em .6em .25em 0;border-bottom:1px solid #e3e6ea}
td.n{text-align:right;font-variant-numeric:tabular-nums}code{font-size:.8em;overflow-wrap:anywhere}small,.dim{color:#5b6573}
svg{width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:#5b6573}
"""
_WORDS = {
    "concept": "answers are wrong more often",
    "estimated": "answers are probably wrong more often",
    "score": "answers moved",
    "drift": "input moved",
}
"""What the commonest alarms are called, the worst first."""
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
    parts = [head, f"<p>{escape(waits)}</p>" if waits else "", *map(_alarm, sorted(lasting, key=_gravity))]
    if one.windows:
        parts += [_accuracy(one), _scores(one), _inputs(one), _quality(one), _past(one)]
    return "".join(parts)


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


def _alarm(alarm: Alarm) -> str:
    worst = " worst" if alarm.level == "alert" else ""
    return (
        f'<div class="card{worst}"><span class="{alarm.level}">{escape(_word(alarm.kind))}</span> '
        f"<b>{escape(alarm.what)}</b><br/><small>since {moment(alarm.since_us)}</small>"
        f"<p>{escape(alarm.advice)}</p><code>{escape(alarm.query)}</code></div>"
    )


def _accuracy(one: Watched) -> str:
    if not one.measure:
        return "<h2>Accuracy</h2><p>Not known: the reference has no labels, so it can't be estimated before labels come.</p>"
    of, windows = one.measure, one.windows
    lines = [
        ("by labels", "#1b62b5", [window.realised for window in windows]),
        ("estimated, before labels", "#a86100", [window.estimated.get(of) for window in windows]),
    ]
    last, labelled = windows[-1], next((w for w in reversed(windows) if w.realised), None)
    said = [f"At save it was {one.expected.value:.4g}." if one.expected else ""]
    if labelled and labelled.realised:
        said.append(f"By the last labels it is <b>{_range(labelled.realised)}</b> ({labelled.labelled:,} labels).")
    if of in last.estimated:
        said.append(f"The last window is estimated at <b>{_range(last.estimated[of])}</b>.")
    dashed = " Dashed: at save." if one.expected else ""
    said.append(f"<small>In brackets, and shaded: what it may be by chance.{dashed}</small>")
    name = "Accuracy" if of == "accuracy" else "Mean absolute error"
    return f"<h2>{name}</h2><p>{' '.join(said)}</p>" + chart(windows, lines, one.expected.value if one.expected else None)


def _scores(one: Watched) -> str:
    found = [finding for finding in one.windows[-1].findings if finding.kind == "score"]
    return "<h2>Answers</h2><p>Do they look as they did?</p>" + _table(one, found) if found else ""


def _inputs(one: Watched) -> str:
    found = sorted((f for f in one.windows[-1].findings if f.kind == "drift"), key=lambda f: -f.rank)
    more = f"<p><small>and {len(found) - _SHOWN} more columns that moved less</small></p>" if len(found) > _SHOWN else ""
    lead = "<p>In the order of how much they moved, times how much answers hang on them.</p>"
    return f"<h2>Inputs</h2>{lead}{_table(one, found[:_SHOWN])}{more}" if found else ""


def _table(one: Watched, found: Sequence[Finding]) -> str:
    rows = "".join(
        f"<tr><td>{escape(finding.column)}</td><td><span class='{'good' if finding.level == 'ok' else finding.level}'>"
        f"{_moved(finding.effect.value)}</span></td><td class='n'>{max(finding.effect.value, 0.0):.3f}</td>"
        f"<td>{_spark(one.windows, finding)}</td><td><small>{escape(_cells(finding))}</small></td></tr>"
        for finding in found
    )
    head = "<tr><th>column</th><th></th><th>PSI</th><th>over time</th><th>share of rows, before → now</th></tr>"
    return f"<table>{head}{rows}</table><p><small>{_PSI}</small></p>"


def _moved(effect: float) -> str:
    """An effect in words: the thresholds are those of the default rule."""
    return "as before" if effect <= 0.02 else "moved a little" if effect <= 0.1 else "moved" if effect <= 0.5 else "moved far"


def _cells(finding: Finding) -> str:
    return "; ".join(f"{cell.name}: {cell.before:.0%} → {cell.now:.0%}" for cell in finding.cells)


def _quality(one: Watched) -> str:
    kinds = {"drift", "score", "estimated", "concept"}
    bad = [f for f in one.windows[-1].findings if f.kind not in kinds and f.level != "ok"]
    listed = "".join(f"<li>{escape(told(finding))}</li>" for finding in bad)
    whole = "<p>Missing values, ranges, categories, types: as in the reference.</p>"
    return "<h2>Data</h2>" + (f"<ul>{listed}</ul>" if bad else whole)


def _past(one: Watched) -> str:
    past = [alarm for alarm in one.alarms if alarm.until_us is not None][-10:]
    rows = "".join(
        f"<tr><td>{escape(_word(alarm.kind))}</td><td>{escape(alarm.column)}</td><td>{moment(alarm.since_us)}</td>"
        f"<td>{moment(alarm.until_us or 0)}</td></tr>"
        for alarm in reversed(past)
    )
    return f"<h2>Over</h2><table><tr><th>what</th><th>column</th><th>from</th><th>until</th></tr>{rows}</table>" if past else ""


def _range(estimate: Estimate) -> str:
    return f"{estimate.value:.4g} ({estimate.low:.4g} to {estimate.high:.4g})"


Line = tuple[str, str, list[Estimate | None]]


def chart(windows: Sequence[Seen], lines: Iterable[Line], level: float | None) -> str:
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
        return 8 + (high - value) / (high - low) * (_HEIGHT - 30)

    parts = [
        f'<text x="0" y="{y(value):.0f}">{value:.3g}</text><path d="M{_PAD} {y(value):.1f}H{_WIDTH}" stroke="#e3e6ea"/>'
        for value in (low + margin, (low + high) / 2, high - margin)
    ]
    if level is not None:
        parts.append(f'<path d="M{_PAD} {y(level):.1f}H{_WIDTH}" stroke="#5b6573" stroke-dasharray="5 4"/>')
    for i, (name, colour, points) in enumerate(lines):
        known = [(x(at), e) for at, e in enumerate(points) if e is not None]
        if known:
            band = " ".join(f"{at:.1f},{y(e.high):.1f}" for at, e in known)
            band += " " + " ".join(f"{at:.1f},{y(e.low):.1f}" for at, e in reversed(known))
            parts.append(f'<polygon points="{band}" fill="{colour}" opacity=".15"/>')
            line = " ".join(f"{at:.1f},{y(e.value):.1f}" for at, e in known)
            parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
            parts.append(f'<text x="{_PAD + 180 * i}" y="{_HEIGHT - 2}"><tspan fill="{colour}">━</tspan> {escape(name)}</text>')
    ends = f"{moment(windows[0].start_us)} to {moment(windows[-1].end_us)}"
    parts.append(f'<text x="{_WIDTH}" y="{_HEIGHT - 2}" text-anchor="end">{ends}</text>')
    named = f'role="img" aria-label="Accuracy from {ends}, as the text above has it for the last window"'
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" xmlns="http://www.w3.org/2000/svg" {named}>{"".join(parts)}</svg>'


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
        f'<path d="M0 {line:.1f}H110" stroke="#a86100" stroke-dasharray="2 3"/>'
        f'<polyline points="{points}" fill="none" stroke="#1b62b5" stroke-width="1.5"/></svg>'
    )
