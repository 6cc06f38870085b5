"""What a window says beside its reference: every test of every column, in one family. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import msgspec
import numpy as np

from salver.monitors import distances
from salver.monitors.bins import MISSING, NumberBins
from salver.monitors.calibration import Calibration, Errors
from salver.monitors.estimate import Estimate, Z, wilson
from salver.monitors.profile import ColumnProfile, Profile
from salver.monitors.rule import Rule
from salver.monitors.significance import (
    false_discovery,
    more_often,
    normal_two_sided,
    pooled,
    rank_spread,
    rank_sum,
    two_sample,
)
from salver.monitors.window import Window

Kind = Literal[
    "drift", "score", "missing", "not_finite", "out_of_range", "unseen", "type", "stuck", "duplicates", "estimated", "concept"
]
Level = Literal["ok", "warn", "alert"]
LEVELS: tuple[Level, ...] = ("ok", "warn", "alert")
_Q_LOW, _Q_HIGH = 0, -1  # places in ColumnProfile.quantiles: 0.5 % and 99.5 %
_IQR = (3, 5)


class Cell(msgspec.Struct, frozen=True):
    """A part of a column that changed: its share before and now."""

    name: str
    before: float
    now: float


class Finding(msgspec.Struct):
    """What one test of a window found. `effect` is the size-corrected PSI of drift, the rise of the rate of all else.

    `q` is the rate of false alarms among findings that are as sure. `distances` are for people: js (base 2), ks, wasserstein
    (in interquartile ranges of the reference). `cells` are the parts that changed most.
    """

    kind: Kind
    column: str
    p: float
    effect: Estimate
    before: float | None = None
    now: float | None = None
    q: float = 1.0
    level: Level = "ok"
    importance: float | None = None
    distances: dict[str, float] = {}
    cells: list[Cell] = []

    @property
    def rank(self) -> float:
        """Effect × importance: what is put first."""
        return max(self.effect.value, 0.0) * (1.0 if self.importance is None else max(self.importance, 0.01))


class Verdict(msgspec.Struct):
    """All that was found in a window, in so many of its `rows` as were `counted`; `needs_rows` more before it can be judged."""

    start_us: int
    end_us: int
    rows: int
    findings: list[Finding] = []
    needs_rows: int = 0
    counted: int = 0
    estimated: dict[str, Estimate] = {}  # accuracy, or mae and rmse: what labels would say, without any

    @property
    def level(self) -> Level:
        return LEVELS[max((LEVELS.index(finding.level) for finding in self.findings), default=0)]

    @property
    def bad(self) -> list[Finding]:
        """What is wrong, the worst first."""
        found = [finding for finding in self.findings if finding.level != "ok"]
        return sorted(found, key=lambda one: (-LEVELS.index(one.level), -one.rank, one.column))


def needed(reference: Profile, rule: Rule) -> int:
    """How many rows a window must have to be judged: ten for each cell of the column with most."""
    every = [*reference.columns.values(), *reference.outputs.values()]
    cells = max((min(sum(1 for count in of.counts if count), 21) for of in every), default=0)
    return max(rule.least_rows, rule.rows_a_cell * cells)


def judge(reference: Profile, window: Window, rule: Rule | None = None, newer: Calibration | Errors | None = None) -> Verdict:
    """Judge a window. Its columns are those that it has counted. `newer` is a newer calibration than the reference's, for what
    is told of accuracy; whether it is worse than it was is judged by the reference's."""
    rule = rule or Rule()
    short = math.ceil(needed(reference, rule) - window.weight / window.design_effect)
    if short > 0:
        return Verdict(window.start_us, window.end_us, window.rows, needs_rows=short, counted=window.counted)
    found: list[Finding] = []
    for of, known in (("in", reference.columns), ("out", reference.outputs)):
        for name, column in known.items():
            if f"{of}:{name}" in window.counts and column.rows:
                found += _of_column(f"{of}:{name}", name, column, window)
    found += _duplicates(reference, window)
    found += _estimated(reference, window)
    for finding, q in zip(found, false_discovery([one.p for one in found]).tolist() if found else [], strict=True):
        finding.q = q
        finding.level = _level(finding, rule)
    _temper(found)
    estimated = estimate(reference, window, newer)
    return Verdict(window.start_us, window.end_us, window.rows, found, counted=window.counted, estimated=estimated)


def _level(finding: Finding, rule: Rule) -> Level:
    if finding.q >= rule.rate:
        return "ok"
    if finding.kind in ("drift", "score"):
        alert = rule.score if finding.kind == "score" else rule.alert
        return "alert" if finding.effect.value > alert else "warn" if finding.effect.value > rule.warn else "ok"
    if finding.kind == "stuck":
        return "alert"
    if finding.kind in ("estimated", "concept"):
        return "alert" if finding.effect.value > rule.accuracy else "ok"
    least = rule.duplicates if finding.kind == "duplicates" else rule.missing
    return "ok" if finding.effect.value < least else "alert" if finding.effect.value > 10 * least else "warn"


def _temper(found: list[Finding]) -> None:
    """Inputs that drift alone are a warning: only when the answers move too is it worth waking somebody.

    Drift of inputs is weak evidence of harm (Kivimäki et al., PAPE, arXiv 2401.08348).
    """
    if any(one.kind in ("score", "estimated") and one.level != "ok" for one in found):
        return
    for one in found:
        if one.kind == "drift" and one.level == "alert":
            one.level = "warn"


def _of_column(key: str, name: str, reference: ColumnProfile, window: Window) -> Iterator[Finding]:
    is_output = key.startswith("out:")
    yield _drift(key, name, reference, window, "score" if is_output else "drift")
    if is_output:
        return
    counts, rows = window.counts[key], int(window.counts[key].sum())
    cells = {"missing": [MISSING]}
    if isinstance(reference.bins, NumberBins):
        if reference.bins.edges:
            cells |= {"not_finite": [1], "out_of_range": [2, reference.bins.size - 1]}
    elif not _is_open(reference):
        cells["unseen"] = [reference.bins.size - 1]
    for kind, places in cells.items():
        hits, before = int(counts[places].sum()), sum(reference.counts[place] for place in places)
        if not hits and not before:
            continue  # a test that could find nothing, whatever came, is none of the family (Gilbert 2005, after Tarone)
        yield _rate(kind, name, reference, window, hits, rows, before, reference.rows)  # type: ignore[arg-type]
    mistyped = window.flagged.get(name, {}).get("type", 0)
    if mistyped:
        yield _rate("type", name, reference, window, mistyped, rows, 0, reference.rows)
    stuck = _stuck(key, name, reference, window)
    if stuck is not None:
        yield stuck


def _is_open(reference: ColumnProfile) -> bool:
    """Whether new values are usual: the reference itself has values outside of its own cells."""
    return reference.counts[-1] > 0


def _drift(key: str, name: str, reference: ColumnProfile, window: Window, kind: Kind) -> Finding:
    before, now = np.asarray(reference.counts, dtype=np.float64), window.counts[key] / window.design_effect
    a, b = pooled(before, now, reference.bins.ordered)
    dispersion = reference.dispersion_at(float(now.sum()))
    p = two_sample(a, b, dispersion, likelihood=True).p
    if isinstance(reference.bins, NumberBins):
        # Chi-square looks for any change alike. The commonest, a column that moved or spread, are worth tests of their own.
        ordered = before[2:], now[2:]
        p = min(1.0, 3 * min(p, rank_sum(*ordered, dispersion), rank_spread(*ordered, dispersion)))
    noise = distances.psi_noise(len(a), float(a.sum()), float(b.sum())) * dispersion
    excess = distances.psi(a, b) - noise
    # PSI / scale is about a noncentral chi-square, whose standard deviation is √(2 df + 4 λ).
    freedom = max(len(a) - 1, 1)
    scale = noise / freedom
    reach = 1.96 * scale * math.sqrt(2 * freedom + 4 * max(excess, 0.0) / scale) if scale else 0.0
    return Finding(
        kind, name, p, Estimate(excess, excess - reach, excess + reach), importance=reference.importance,
        distances=_told(reference, before, now), cells=_cells(reference, before, now),
    )  # fmt: skip


def _told(reference: ColumnProfile, before: distances.Floats, now: distances.Floats) -> dict[str, float]:
    made = {"psi": distances.psi(before, now), "js": distances.js_distance(before, now)}
    if isinstance(reference.bins, NumberBins) and reference.quantiles:
        edges = np.asarray(reference.bins.edges)
        made["ks"] = distances.ks(before[2:], now[2:])
        width = reference.quantiles[_IQR[1]] - reference.quantiles[_IQR[0]]
        inside = np.clip(edges, reference.quantiles[_Q_LOW], reference.quantiles[_Q_HIGH])
        if width:
            made["wasserstein"] = distances.wasserstein_binned(inside, before[3:-1], now[3:-1]) / width
    return made


def _cells(reference: ColumnProfile, before: distances.Floats, now: distances.Floats, count: int = 3) -> list[Cell]:
    p, q = before / max(before.sum(), 1), now / max(now.sum(), 1)
    weight = (q - p) * np.log((q + 1e-4) / (p + 1e-4))
    names = reference.bins.names
    return [Cell(names[i], float(p[i]), float(q[i])) for i in np.argsort(-weight, kind="stable")[:count] if weight[i] > 0]


def _rate(
    kind: Kind, name: str, reference: ColumnProfile, window: Window, hits: int, rows: int, before: int, known: int
) -> Finding:
    """Whether something is more frequent than in the reference, by Fisher's exact test; over-dispersed, by the normal one."""
    design = window.design_effect
    if design > 1:
        hits, rows = round(hits / design), max(round(rows / design), 1)
    p = more_often(hits, rows, before + _left_out(kind, reference), known)
    factor = reference.dispersion_at(rows)
    if factor > 1 and 0 < p < 1:
        share = (hits + before) / (rows + known)
        z = (hits / rows - before / known) / math.sqrt(max(factor * share * (1 - share) * (1 / rows + 1 / known), 1e-300))
        p = max(p, normal_two_sided(z) / 2 if z > 0 else 1.0)
    now, was = wilson(hits / rows, rows), before / known
    rise = Estimate(hits / rows - was, now.low - was, now.high - was)
    return Finding(kind, name, p, rise, was, hits / rows, importance=reference.importance)


def _left_out(kind: Kind, reference: ColumnProfile) -> int:
    """How many rows of the reference count as out of range or unseen, though by its own cells none can be.

    Of m rows, those beyond the smallest and the largest of n others are beta-binomial (m, 2, n - 1): Fisher's test with one row
    of the reference outside has that very tail (David, Nagaraja: Order Statistics, 2.5). Values that were not seen are about as
    frequent as those that were seen once (Good, Biometrika 40 (1953) 237).
    """
    if kind == "out_of_range":
        return 1
    return sum(1 for count in reference.counts[1:-1] if count == 1) if kind == "unseen" else 0


def _stuck(key: str, name: str, reference: ColumnProfile, window: Window) -> Finding | None:
    """One value only, in all rows, where the reference had several: its chance is that of its cell, to the power of rows."""
    counts = window.counts[key]
    present = counts.copy()
    present[MISSING] = 0
    alone = int((present > 0).sum()) == 1 and int(present.sum()) == int(counts.sum())
    if isinstance(reference.bins, NumberBins):
        alone = alone and window.low.get(key) is not None and window.low[key] == window.high[key]
    if not alone or sum(1 for count in reference.counts[1:] if count) < 2:
        return None
    cell = int(np.argmax(present))
    share = max(reference.counts[cell] / reference.rows, 1e-12)
    rows = window.weight / window.design_effect
    return Finding("stuck", name, min(1.0, share**rows), Estimate(1 - share, 1 - share, 1 - share), share, 1.0)


def _duplicates(reference: Profile, window: Window) -> Iterator[Finding]:
    if window.duplicates or reference.duplicates:
        p = more_often(window.duplicates, window.rows, reference.duplicates, reference.rows)
        now, was = wilson(window.duplicates / window.rows, window.rows), reference.duplicates / max(reference.rows, 1)
        yield Finding(
            "duplicates", "*", p, Estimate(now.value - was, now.low - was, now.high - was), was, now.value
        )  # fmt: skip


def estimate(reference: Profile, window: Window, newer: Calibration | Errors | None = None) -> dict[str, Estimate]:
    """What the labels of a window's rows would say: accuracy of a classifier, mae and rmse of a regressor."""
    if window.sure is None or not window.sure.sum():
        return {}
    by = newer or reference.calibration or reference.errors
    return {} if by is None else by.estimates(window.sure)


def _estimated(reference: Profile, window: Window) -> Iterator[Finding]:
    """Whether the estimate is worse than the reference was: by how much (of an error: in parts of it), and by chance or not."""
    if window.sure is None or not window.sure.sum():
        return
    for name, by in (("accuracy", reference.calibration), ("mae", reference.errors)):
        before = reference.performance.get(name)
        if by is None or before is None:
            continue
        now = by.accuracy(window.sure) if isinstance(by, Calibration) else by.mae(window.sure)
        sign, unit = (1.0, 1.0) if name == "accuracy" else (-1.0, before.value or 1.0)
        spread = math.hypot(now.high - now.low, before.high - before.low) / (2 * Z)
        worse = sign * (before.value - now.value)
        p = normal_two_sided(worse / spread) / 2 if worse > 0 and spread else 1.0
        reach = Z * spread / unit
        effect = Estimate(worse / unit, worse / unit - reach, worse / unit + reach)
        yield Finding("estimated", "prediction", p, effect, before.value, now.value)
