"""Figures and times in words, for people. Pure."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

from salver.monitors.estimate import Estimate

_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_-]+")


def number(value: float | None) -> str:
    """1,234 · 12.3 k · 4.5 M; a short decimal below a thousand."""
    if value is None or not math.isfinite(value):
        return "–"
    if abs(value) < 1e-300:  # what is beside nothing
        value = 0.0
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(value) >= size:
            return f"{value / (1e3 if unit == ' k' else size):.3g}{unit}"
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3g}"


def plain(value: Any) -> str:
    """A value of data, as it is read: numbers short, all else as it is."""
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def likeliest(outputs: dict[str, Any]) -> str:
    """The highest probability of an answer; nothing where it has none."""
    shares = outputs.get("probabilities")
    if not isinstance(shares, list) or not shares or not all(isinstance(one, int | float) for one in shares):
        return ""
    return percent(max(shares))


def percent(share: float | None, digits: int = 1) -> str:
    if share is None or not math.isfinite(share):
        return "–"
    return f"{share:.{digits}%}".replace("%", " %")


def seconds(value: float | None) -> str:
    """A duration of an answer: 350 µs, 4.2 ms, 1.2 s."""
    if value is None:
        return "–"
    if value < 1e-3:
        return f"{value * 1e6:.0f} µs"
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"


def span(value_s: float) -> str:
    """A length of time in one unit: 40 s, 12 min, 5 h, 3 days."""
    for size, unit in ((172_800, "days"), (3600, "h"), (60, "min")):
        if value_s >= size:
            return f"{value_s / (86_400 if unit == 'days' else size):.0f} {unit}"
    return f"{max(value_s, 0):.0f} s"


def ago(us: int | None, now_s: float) -> str:
    return "" if us is None else f"{span(now_s - us / 1e6)} ago"


def moment(us: int | None) -> str:
    """A time in UTC, to the minute."""
    return "" if us is None else datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%d %H:%M")


def moment_s(us: int) -> str:
    """A time in UTC, to the second."""
    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")


def clock(us: int | None, now_s: float) -> str:
    """A time in UTC as one says it today: 08:05, or with its date where it is of another day."""
    if us is None:
        return ""
    at, now = (datetime.fromtimestamp(value, UTC) for value in (us / 1e6, now_s))
    return at.strftime("%H:%M") if at.date() == now.date() else at.strftime("%d %b %H:%M")


def iso(us: int | None) -> str:
    """A time for programs, such as a `datetime` attribute."""
    return "" if us is None else datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="seconds")


def us_of(text: str) -> int:
    """An ISO time of the registry in µs since 1970; 0 for none."""
    return int(datetime.fromisoformat(text).timestamp() * 1e6) if text else 0


def estimate(value: Estimate | None, share: bool = True) -> str:
    """A value with its interval."""
    if value is None:
        return "–"
    if not share:
        return f"{value.value:.4g} ({value.low:.4g} to {value.high:.4g})"
    return f"{value.value:.1%} ({value.low:.1%} to {value.high:.1%})".replace("%", " %")


def signed(value: float, share: bool = False) -> str:
    """A difference with its sign; of shares, in points of a hundred."""
    text = f"{value * 100:+.1f}" if share else f"{value:+.4g}"
    return text.replace("-", "−")


def anchor(text: str) -> str:
    """A part of a page by a name out of data: as an id, which links lead to."""
    return _NOT_IN_IDS.sub("-", text).strip("-") or "x"
