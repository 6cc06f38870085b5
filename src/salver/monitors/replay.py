"""Two versions on the same logged rows: what changes, for whom, and, where labels are known, which is better. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np

from salver.monitors.estimate import Estimate, Z, mean, wilson

_EXACT_PAIRS = 10_000
_FEWEST = 30  # rows of a segment that is named
_NAMED = 5
_QUARTERS = (0.25, 0.5, 0.75)


class Segment(msgspec.Struct):
    """Rows with a value, or a range of values, in a column, and how many of their answers change."""

    column: str
    value: str
    rows: int
    changed: float


class Verdict(msgspec.Struct):
    """Which answers are better by the labels. `p` is McNemar's exact two-sided test, or that of the paired difference."""

    labelled: int
    measure: str  # "accuracy" or "exact_match" (more is better), or "mae" (less is better)
    before: float
    after: float
    difference: Estimate
    p: float
    better: str  # "before", "after" or "neither"


class Replay(msgspec.Struct):
    """What a replay found. `difference` is of numbers: after minus before, by quantile of its size."""

    rows: int
    refused: int
    changed: Estimate
    flips: dict[str, int] = {}  # "before → after", the commonest
    difference: dict[str, float] = {}
    segments: list[Segment] = []
    verdict: Verdict | None = None


def compare(
    rows: Sequence[dict[str, Any]],
    before: Sequence[Any],
    after: Sequence[Any],
    labels: Sequence[Any],
    refused: int,
    numeric: bool,
) -> Replay:
    """Compare answers to the same rows. `labels` has None where there is none; `numeric` says that answers are numbers.

    Answers and labels may be lists, one value an output; a label that is not known is None in its list.
    """
    changed = _differ(before, after, numeric)
    made = Replay(len(rows), refused, wilson(float(changed.mean()) if len(rows) else 0.0, len(rows)))
    if numeric:
        off = np.asarray(after, np.float64) - np.asarray(before, np.float64)
        size = np.abs(off)
        if len(rows):
            points = {"p50": 0.5, "p95": 0.95, "max": 1.0}
            made.difference = {"mean": float(off.mean()), **{n: float(np.quantile(size, q)) for n, q in points.items()}}
    else:
        flips: defaultdict[str, int] = defaultdict(int)
        for i in np.flatnonzero(changed).tolist():
            flips[f"{before[i]} → {after[i]}"] += 1
        made.flips = dict(sorted(flips.items(), key=lambda flip: -flip[1])[:_NAMED])
    if 0 < changed.sum() < len(rows):
        made.segments = _segments(rows, changed)
    known = [i for i, label in enumerate(labels) if label is not None]
    if known:
        picked = ([of[i] for i in known] for of in (before, after, labels))
        made.verdict = _of_numbers(*picked) if numeric else _of_classes(*picked)
    return made


def _differ(before: Sequence[Any], after: Sequence[Any], numeric: bool) -> Any:
    if numeric:
        one, other = np.asarray(before, np.float64), np.asarray(after, np.float64)
        return ~np.isclose(one, other, rtol=1e-9, atol=1e-12, equal_nan=True).reshape(len(one), -1).all(axis=1)
    return np.array([one != other for one, other in zip(before, after, strict=True)], dtype=bool)


def _of_classes(before: list[Any], after: list[Any], labels: list[Any]) -> Verdict:
    was, now = (np.array(list(map(_is_right, of, labels)), bool) for of in (before, after))
    p = mcnemar(int((was & ~now).sum()), int((~was & now).sum()))
    gain = mean(now.astype(np.float64) - was, np.ones(len(was)))
    better = "neither" if p >= 0.05 else "after" if gain.value > 0 else "before"
    measure = "exact_match" if isinstance(labels[0], list) else "accuracy"
    return Verdict(len(labels), measure, float(was.mean()), float(now.mean()), gain, p, better)


def _is_right(answer: Any, label: Any) -> bool:
    """Of several answers, all whose label is known are to be right."""
    if isinstance(label, list):
        return all(known is None or one == known for one, known in zip(answer, label, strict=True))
    return answer == label


def _of_numbers(before: list[Any], after: list[Any], labels: list[Any]) -> Verdict:
    truth = np.array(labels, np.float64).reshape(len(labels), -1)  # None becomes NaN: an output whose label is not known
    was, now = (np.nanmean(np.abs(np.array(of, np.float64).reshape(truth.shape) - truth), axis=1) for of in (before, after))
    gain = mean(now - was, np.ones(len(truth)))
    deviation = (gain.high - gain.value) / Z
    p = math.erfc(abs(gain.value) / deviation / math.sqrt(2)) if deviation else float(gain.value == 0)
    better = "neither" if p >= 0.05 else "after" if gain.value < 0 else "before"
    return Verdict(len(labels), "mae", float(was.mean()), float(now.mean()), gain, p, better)


def mcnemar(lost: int, won: int) -> float:
    """The two-sided p of so many rows being right before only and after only, if neither were better."""
    pairs, fewer = lost + won, min(lost, won)
    if pairs > _EXACT_PAIRS:
        return math.erfc((abs(lost - won) - 1) / math.sqrt(2 * pairs))
    logs = [math.lgamma(pairs + 1) - math.lgamma(k + 1) - math.lgamma(pairs - k + 1) for k in range(fewer + 1)]
    return min(1.0, 2 * math.fsum(math.exp(one - pairs * math.log(2)) for one in logs))


def _segments(rows: Sequence[dict[str, Any]], changed: Any) -> list[Segment]:
    """Where answers change most: values of columns, and quarters of numbers."""
    found: list[Segment] = []
    for name in rows[0]:
        values = [row.get(name) for row in rows]
        inside: defaultdict[str, list[int]] = defaultdict(list)
        for i, value in enumerate(_named(values)):
            inside[value].append(i)
        if len(inside) > len(rows) // _FEWEST:
            continue  # an id, or free text
        found += [
            Segment(name, value, len(at), float(changed[at].mean())) for value, at in inside.items() if len(at) >= _FEWEST
        ]
    overall = float(changed.mean())
    return [one for one in sorted(found, key=lambda one: -one.changed) if one.changed > overall][:_NAMED]


def _named(values: list[Any]) -> list[str]:
    numbers = [value for value in values if isinstance(value, int | float) and math.isfinite(value)]
    if len(numbers) < len(values) / 2 or len(set(numbers)) <= _NAMED:
        return [str(value) for value in values]
    edges = [float(np.quantile(numbers, at)) for at in _QUARTERS]
    names = [
        f"< {edges[0]:.4g}",
        *(f"{a:.4g} to {b:.4g}" for a, b in pairwise(edges)),
        f"≥ {edges[-1]:.4g}",
    ]
    number = [isinstance(value, int | float) and math.isfinite(value) for value in values]
    return [
        names[int(np.searchsorted(edges, value, "right"))] if ok else "missing"
        for value, ok in zip(values, number, strict=True)
    ]
