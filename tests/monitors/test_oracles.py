"""Figures that others published for the same methods, each with its number in the list of the monitors' oracles.

Sources: the tests of Evidently (1 to 11), NannyML (12 to 17, 56 to 58), frouros (19 to 26), popmon (28), Deepchecks (30 to 32),
TFDV (34 to 41), Scouter and Yurdakul's thesis (43, 44), iyipada (46) and alibi-detect (60). Those that need NannyML's data are
in test_public.py. Seeds are of RandomState, whose streams are frozen. Some were published without their last digits, cut off.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from salver.monitors import distances as d
from salver.monitors import samples as t
from salver.monitors import significance as s
from salver.monitors.limits import control_limits, pulls
from salver.monitors.sampling import sampling_error_of_classes, sampling_error_of_numbers

R = [16, 18, 16, 14, 12, 12]
C = [16, 16, 16, 16, 16, 8]
VALUES = np.arange(1, 7)
TWICE = [2 * r for r in R]
EXPECTED = [428, 425, 414, 427, 440, 447, 380, 386, 444, 386]
WITHOUT_RARE: Any = {"least": 0.1, "continuity": True}
ACTUAL = [426, 437, 429, 391, 469, 433, 360, 443, 371, 418]


def rows(counts: list[int]) -> Any:
    return np.repeat(VALUES, counts)


def seeded(seed: int, *drawn: tuple[float, float, int]) -> list[Any]:
    draw = np.random.RandomState(seed)
    return [draw.normal(mean, deviation, count) for mean, deviation, count in drawn]


def o_12() -> float:
    """Bins of the reference by Doane's rule, and one more for what is outside."""
    reference, current = seeded(1, (0, 1, 10_000), (0, 1, 1_000))
    edges = np.histogram_bin_edges(reference, "doane")
    counts = [np.histogram(part, edges)[0] for part in (reference, current)]
    return d.js_distance(*([*part, of - part.sum()] for part, of in zip(counts, (10_000, 1_000), strict=True)))


def o_21() -> float:
    """Ten bins over both; frouros adds the smallest step of a float to each share."""
    reference, current = seeded(31, (1, 1, 100))[0], seeded(31, (5, 2, 100))[0]
    edges = np.histogram_bin_edges(np.concatenate([reference, current]), 10)
    return d.bhattacharyya(*(np.histogram(part, edges)[0] for part in (reference, current)), filler=np.finfo(float).eps)


def o_23() -> tuple[Any, Any]:
    x, y = seeded(31, (0, 1, 100), (1, 1, 100))
    edges = np.histogram_bin_edges(np.concatenate([x, y]), 20)
    return np.histogram(x, edges)[0], np.histogram(y, edges)[0]


def o_23_js() -> float:
    """Shares of twenty places, by each sample's own histogram."""
    x, y = seeded(31, (0, 1, 100), (1, 1, 100))
    places = np.linspace(min(x.min(), y.min()), max(x.max(), y.max()), 20)
    shares: list[Any] = []
    for part in (x, y):
        counts, edges = np.histogram(part, "auto")
        shares.append(np.diff(np.interp(places, edges, np.concatenate([[0.0], np.cumsum(counts) / len(part)]))))
    return d.js_distance(*shares, base=math.e)


def permuted(current: list[int]) -> float:
    return s.permuted(R, current, d.total_variation, rounds=5000)


def noisy(size: int, cells: int) -> float:
    """In percent: how often a PSI is above 0.1 where nothing differs."""
    return 100 * s.psi_sf(0.1, cells, size, size)


Case = tuple[str, Callable[[], float], float, float]
SIGNIFICANCE: list[Case] = [
    ("O-1 chi-square", lambda: s.goodness_of_fit(R, C).p, 0.67309, 5e-6),
    ("O-1 Epps-Singleton", lambda: t.epps_singleton(rows(R), rows(C)).p, 0.81, 5e-3),
    ("O-1 Mann-Whitney, one-sided", lambda: t.mann_whitney(rows(R), rows(C), "less")[1], 0.481, 5e-4),
    ("O-1 Mann-Whitney", lambda: t.mann_whitney(rows(R), rows(C))[1], 0.96287, 5e-6),
    ("O-1 Mann-Whitney of counts", lambda: s.rank_sum(R, C), 0.96287, 5e-6),
    ("O-2 chi-square", lambda: s.goodness_of_fit(TWICE, C).p, 0.67309, 5e-6),
    ("O-5", lambda: t.cramer_von_mises(*(np.random.RandomState(seed).normal(size=100) for seed in (0, 1)))[1], 0.8076839, 5e-8),
    ("O-6", lambda: s.goodness_of_fit([5, 5, 8], [4, 6, 8], likelihood=True).p, 0.8176, 5e-5),
    ("O-7 a", lambda: s.fisher([[45, 45], [30, 60]]), 0.033, 1e-3),
    ("O-7 b", lambda: s.fisher([[6, 0], [3, 3]]), 0.181, 1e-3),
    ("O-7 c", lambda: s.fisher([[6, 0], [0, 6]]), 0.0021, 1e-4),
    ("O-7 d", lambda: s.fisher([[90, 60], [60, 90]]), 0.00078, 1e-5),
    ("O-8 a", lambda: permuted([10, 10, 24, 24, 10, 10]), 0.085, 0.03),
    ("O-8 b", lambda: permuted([0, 0, 0, 0, 0, 88]), 0.0, 0.03),
    ("O-8 c", lambda: permuted([10, 24, 12, 16, 8, 16]), 0.309, 0.03),
    ("O-11", lambda: s.proportions(2, 3, 2, 4), 0.66, 0.01),
    ("O-19 statistic", lambda: s.two_sample(*d.counted("aabaab", "bacccc")).statistic, 6.13333333, 5e-9),
    ("O-19", lambda: s.two_sample(*d.counted("aabaab", "bacccc")).p, 0.04657615, 5e-9),
    ("O-26 0.8", lambda: s.kolmogorov_sf(0.8), 0.5441, 5e-5),
    ("O-26 3", lambda: s.kolmogorov_sf(3), 0.0, 5e-5),
    ("O-41", lambda: s.goodness_of_fit([223, 20, 25, 12, 13], [207, 20, 25, 14, 25]).p, 0.013227994814265176, 1e-15),
    ("O-43 limit", lambda: s.psi_limit(10, sum(EXPECTED), sum(ACTUAL)), 0.0081010, 5e-8),
    *((f"O-44 {m}", lambda m=m: s.psi_limit(10, math.inf, m), value, 5e-4)
      for m, value in {100: 0.169, 200: 0.085, 400: 0.042, 1000: 0.017}.items()),
    ("O-44 20 cells", lambda: s.psi_limit(20, math.inf, 1000), 0.0301, 5e-5),
    ("O-44 by the normal", lambda: d.psi_noise(10, math.inf, 400) * (1 + 1.6449 * math.sqrt(2 / 9)), 0.0400, 1e-4),
    *((f"O-46 {cells} cells, {size} rows", lambda cells=cells, size=size: noisy(size, cells), percent, 0.06)
      for cells, percents in {5: (64.5, 28.7, 4.0, 0), 10: (98.1, 83.4, 35.0, 0.3), 20: (100, 99.9, 95.3, 16.1)}.items()
      for size, percent in zip((50, 100, 200, 500), percents, strict=True)),
]  # fmt: skip
DISTANCES: list[Case] = [
    ("O-1 Hellinger", lambda: d.hellinger(R, C), 0.06812, 1e-5),
    ("O-2 Hellinger", lambda: d.hellinger(TWICE, C), 0.06812, 1e-5),
    ("O-8 a, distance", lambda: d.total_variation(R, [10, 10, 24, 24, 10, 10]), 0.204545, 5e-7),
    ("O-8 b, distance", lambda: d.total_variation(R, [0, 0, 0, 0, 0, 88]), 0.863636, 5e-7),
    ("O-8 c, distance", lambda: d.total_variation(R, [10, 24, 12, 16, 8, 16]), 0.147727, 4e-3),  # of 86 rows, taken as 88
    ("O-12", o_12, 0.0472364087, 5e-11),
    ("O-15 a", lambda: d.l_infinity(*d.counted("aabbcc", "aabbccd")), 1 / 7, 1e-12),
    ("O-15 b", lambda: d.l_infinity(*d.counted("aabbcc", "aabbcc")), 0.0, 1e-12),
    ("O-15 c", lambda: d.l_infinity(*d.counted("aabbcc", "bbbbb")), 2 / 3, 1e-12),
    ("O-17 a", lambda: d.wasserstein(*seeded(1, (0, 1, 100_000), (-4, 1, 1_000))), 3.99, 5e-3),
    ("O-17 b", lambda: d.wasserstein(*seeded(1, (0, 1, 15_000), (0, 10, 1_000_000))), 7.1801509636, 5e-11),
    ("O-21", o_21, 0.810041883, 1e-9),
    ("O-23 Wasserstein", lambda: d.wasserstein(*seeded(31, (0, 1, 100), (1, 1, 100))), 1.0686078744674332, 1e-12),
    ("O-23 Hellinger", lambda: d.hellinger(*o_23()), 0.467129645775421, 1e-13),
    ("O-23 JS", o_23_js, 0.41702877367162156, 1e-13),
    ("O-23 overlap", lambda: d.total_variation(*o_23()), 0.53, 5e-3),
    ("O-26 score", lambda: d.ks([2, 4], [1, 3]) * math.sqrt(6 * 4 / 10), 0.1291, 5e-5),
    ("O-30", lambda: d.cramers_v([200, 800, 10, 10], [400, 620, 0, 0]), 0.2285229052, 5e-11),
    ("O-30 without rare ones", lambda: d.cramers_v([200, 800, 10, 10], [400, 620, 0, 0], **WITHOUT_RARE), 0.208, 5e-4),
    ("O-31 apart", lambda: d.cramers_v([1000, 0], [0, 1000]), 1.0, 1e-12),
    ("O-31 the same", lambda: d.cramers_v([1000], [1000]), 0.0, 1e-12),
    ("O-32", lambda: d.ks_samples(*seeded(42, (0, 1, 10_000), (1, 1, 10_000))), 0.3886, 5e-5),
    ("O-34 a", lambda: d.l_infinity([1, 9], [3, 7]), 0.2, 1e-12),
    ("O-34 b", lambda: d.l_infinity([0, 9, 1], [3, 7, 0]), 0.3, 1e-12),
    ("O-35", lambda: d.js_divergence(*d.counted("bbaac", "aaZYX")), 0.6, 1e-12),
    ("O-38 a", lambda: d.js_divergence(*d.counted([0, 1], [0, 2])), 0.5, 1e-12),
    ("O-38 b", lambda: d.js_divergence(*d.counted([0], [1])), 1.0, 1e-12),
    ("O-43", lambda: d.psi(EXPECTED, ACTUAL), 0.007406694184014186, 1e-17),
]  # fmt: skip


@pytest.mark.parametrize(("of", "expected", "within"), [pytest.param(*case[1:], id=case[0]) for case in SIGNIFICANCE])
def test_significance(of: Callable[[], float], expected: float, within: float) -> None:
    assert of() == pytest.approx(expected, abs=within)


@pytest.mark.parametrize(("of", "expected", "within"), [pytest.param(*case[1:], id=case[0]) for case in DISTANCES])
def test_distances(of: Callable[[], float], expected: float, within: float) -> None:
    assert of() == pytest.approx(expected, abs=within)


def test_o_28_limits_of_a_series() -> None:
    series = np.arange(100)
    assert control_limits(series, 7) == pytest.approx((-152.56249033, 251.5624903), abs=5e-8)
    assert control_limits(series, 4) == pytest.approx((-65.96428019, 164.96428019), abs=5e-9)
    assert control_limits(series, 4, low=0, high=100) == (0, 100)
    assert pulls([251.5624903], series) == pytest.approx([7])


def test_o_57_sampling_errors() -> None:
    """Of fifty rows, told from ten thousand. The first fifty numbers are a window, of which nothing but its size is used."""
    draw = np.random.RandomState(1)
    draw.random_sample(50)
    truth, said = draw.binomial(1, 0.5, 10_000), draw.binomial(1, 0.5, 10_000)
    found = sampling_error_of_classes(truth, said, 50, np.linspace(0, 1, 10_000))
    published = {
        "roc_auc": 0.0575,
        "f1": 0.1153,
        "precision": 0.0989,
        "recall": 0.0998,
        "specificity": 0.1001,
        "accuracy": 0.0707,
    }
    assert {name: round(value, 4) for name, value in found.items()} == published
    draw = np.random.RandomState(1)
    draw.random_sample(50)
    numbers = sampling_error_of_numbers(draw.random_sample(10_000), draw.random_sample(10_000), 50)
    assert {name: round(value, 4) for name, value in numbers.items()} == {"mae": 0.0334, "mse": 0.028, "rmse": 0.0346}


@pytest.mark.parametrize("q", [0.05, 0.1, 0.25])
def test_o_60_false_discovery(q: float) -> None:
    assert (s.false_discovery([q - 1e-5] * 1000) < q).all()
    assert not (s.false_discovery([q] * 1000) < q).any()


def test_what_a_filler_does_to_psi() -> None:
    """The same samples as in O-21: the index is whatever the filler says."""
    reference, current = seeded(31, (1, 1, 100))[0], seeded(31, (5, 2, 100))[0]
    edges = np.histogram_bin_edges(np.concatenate([reference, current]), 10)
    counts = [np.histogram(part, edges)[0] for part in (reference, current)]
    found = [d.psi(*counts, filler=filler) for filler in (1e-2, 1e-4, 1e-6, np.finfo(float).tiny)]
    assert found == pytest.approx([3.61, 6.73, 9.73, 461.2], abs=6e-3, rel=1e-4)
    assert d.psi(*counts) == pytest.approx(3.9137, abs=5e-5), "by half a row"
