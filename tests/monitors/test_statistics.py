"""Statistics on counts: published figures to their digits, SciPy's to its own, and what must hold for any counts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from salver.monitors import distances as d
from salver.monitors import significance as s

R = [16, 18, 16, 14, 12, 12]
C = [16, 16, 16, 16, 16, 8]
counts = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=12)


def test_published_significance() -> None:
    """Figures of Evidently's, frouros', TFDV's and alibi-detect's own tests."""
    assert s.goodness_of_fit(R, C).p == pytest.approx(0.67309, abs=5e-6)
    assert s.goodness_of_fit([2 * r for r in R], C).p == pytest.approx(0.67309, abs=5e-6)
    assert s.rank_sum(R, C) == pytest.approx(0.96287, abs=5e-6)
    assert s.goodness_of_fit([5, 5, 8], [4, 6, 8], likelihood=True).p == pytest.approx(0.8176, abs=5e-5)
    found = s.two_sample([4, 2, 0], [1, 1, 4])
    assert found.statistic == pytest.approx(6.13333333, abs=1e-8)
    assert found.p == pytest.approx(0.04657615, abs=1e-8)
    assert s.goodness_of_fit([223, 20, 25, 12, 13], [207, 20, 25, 14, 25]).p == pytest.approx(0.013227994814265176, rel=1e-12)
    tables = {0.033: [[45, 45], [30, 60]], 0.181: [[6, 0], [3, 3]], 0.0021: [[6, 0], [0, 6]], 0.00078: [[90, 60], [60, 90]]}
    for p, table in tables.items():  # published without their last digits
        assert 0 <= s.fisher(table) - p < (1e-3 if p > 0.01 else 1e-4)
    assert s.proportions(2, 3, 2, 4) == pytest.approx(0.66, abs=0.01)
    assert s.kolmogorov_sf(0.8) == pytest.approx(0.5441, abs=5e-5)
    assert s.kolmogorov_sf(3) == pytest.approx(0.0, abs=5e-5)
    for q in (0.05, 0.1, 0.25):
        assert (s.false_discovery([q - 1e-5] * 1000) < q).all()
        assert not (s.false_discovery([q] * 1000) < q).any()


def test_published_distances() -> None:
    assert d.hellinger(R, C) == pytest.approx(0.06812, abs=1e-5)
    assert d.hellinger([2 * r for r in R], C) == pytest.approx(0.06812, abs=1e-5)
    assert d.total_variation(R, [10, 10, 24, 24, 10, 10]) == pytest.approx(0.204545, abs=5e-7)
    assert d.total_variation(R, [0, 0, 0, 0, 0, 88]) == pytest.approx(0.863636, abs=5e-7)
    assert d.hellinger([2 * r for r in R], C) == pytest.approx(0.06812, abs=1e-5)
    assert d.total_variation(R, [10, 24, 12, 16, 8, 16]) == pytest.approx(0.147727, abs=4e-3)  # of 86 rows; published for 88
    assert d.l_infinity([2, 2, 2, 0], [2, 2, 2, 1]) == pytest.approx(1 / 7)
    assert d.l_infinity([2, 2, 2], [2, 2, 2]) == 0
    assert d.l_infinity([2, 2, 2], [0, 5, 0]) == pytest.approx(2 / 3)
    assert d.l_infinity([1, 9], [3, 7]) == pytest.approx(0.2)
    assert d.l_infinity([0, 9, 1], [3, 7, 0]) == pytest.approx(0.3)
    assert d.js_divergence([2, 2, 1, 0, 0, 0], [0, 2, 0, 1, 1, 1]) == pytest.approx(0.6)
    assert d.js_divergence([1, 1, 0], [1, 0, 1]) == pytest.approx(0.5)
    assert d.js_divergence([1, 0], [0, 1]) == pytest.approx(1.0)
    assert d.cramers_v([200, 800, 10, 10], [400, 620, 0, 0]) == pytest.approx(0.2285229052, abs=5e-11)
    assert d.cramers_v([1000, 0], [0, 1000]) == pytest.approx(1.0)
    assert d.cramers_v([1000], [1000]) == 0
    expected = [428, 425, 414, 427, 440, 447, 380, 386, 444, 386]
    actual = [426, 437, 429, 391, 469, 433, 360, 443, 371, 418]
    assert d.psi(expected, actual) == pytest.approx(0.007406694184014186, rel=1e-13)
    critical = s.chi2_quantile(0.95, 9) * (1 / sum(expected) + 1 / sum(actual))
    assert critical == pytest.approx(0.0081010, abs=5e-8)
    assert d.ks([2, 4], [1, 3]) * math.sqrt(6 * 4 / 10) == pytest.approx(0.1291, abs=5e-5)


def test_total_variation_by_permutation() -> None:
    """The published p of three samples, from a permutation of the rows of both."""
    draw = np.random.default_rng(0)
    for current, p in (([10, 10, 24, 24, 10, 10], 0.085), ([0, 0, 0, 0, 0, 88], 0.0), ([10, 24, 12, 16, 8, 16], 0.309)):
        rows, seen = np.repeat(np.arange(6), np.add(R, current)), d.total_variation(R, current)
        further = 0
        for _ in range(1000):
            first = np.bincount(draw.permutation(rows)[: sum(R)], minlength=6)
            further += d.total_variation(first, np.add(R, current) - first) >= seen
        assert further / 1000 == pytest.approx(p, abs=0.03)


def test_published_distances_of_samples() -> None:
    """Legacy seeds: the streams of RandomState are frozen."""
    draw = np.random.RandomState(1)
    reference, current = draw.normal(0, 1, 10_000), draw.normal(0, 1, 1_000)
    edges = np.histogram_bin_edges(reference, "doane")
    counted = [np.histogram(part, edges)[0] for part in (reference, current)]
    assert d.js_distance([*counted[0], 10_000 - counted[0].sum()], [*counted[1], 1_000 - counted[1].sum()]) == pytest.approx(
        0.0472364087, abs=5e-11
    )
    draw = np.random.RandomState(1)
    assert d.wasserstein(draw.normal(0, 1, 100_000), draw.normal(-4, 1, 1_000)) == pytest.approx(3.99, abs=0.01)
    draw = np.random.RandomState(1)
    assert d.wasserstein(draw.normal(0, 1, 15_000), draw.normal(0, 10, 1_000_000)) == pytest.approx(7.1801509636, abs=5e-11)
    draw = np.random.RandomState(31)
    x, y = draw.normal(0, 1, 100), draw.normal(1, 1, 100)
    assert d.wasserstein(x, y) == pytest.approx(1.0686078744674332, rel=1e-13)
    edges = np.histogram_bin_edges(np.concatenate([x, y]), 20)
    counted = [np.histogram(part, edges)[0] for part in (x, y)]
    assert d.hellinger(*counted) == pytest.approx(0.467129645775421, rel=1e-13)
    assert d.total_variation(*counted) == pytest.approx(0.53, abs=5e-3), "what does not overlap"
    places = np.linspace(min(x.min(), y.min()), max(x.max(), y.max()), 20)
    shares = [np.diff(_cumulated(part, places)) for part in (x, y)]
    assert d.js_distance(*shares, base=math.e) == pytest.approx(0.41702877367162156, rel=1e-13)
    draw = np.random.RandomState(42)
    assert d.ks_samples(draw.normal(0, 1, 10_000), draw.normal(1, 1, 10_000)) == pytest.approx(0.3886, abs=5e-5)


def _cumulated(sample: Any, places: Any) -> Any:
    """A sample's distribution function by its own histogram, as frouros has it."""
    counts, edges = np.histogram(sample, "auto")
    return np.interp(places, edges, np.concatenate([[0.0], np.cumsum(counts) / len(sample)]))


def test_the_noise_of_psi() -> None:
    """Yurdakul's critical values, and how often 0.1 is passed where there is no drift."""
    for size, value in {100: 0.169, 200: 0.085, 400: 0.042, 1000: 0.017}.items():
        assert s.chi2_quantile(0.95, 9) / size == pytest.approx(value, abs=5e-4)
    assert s.chi2_quantile(0.95, 19) / 1000 == pytest.approx(0.0301, abs=5e-5)
    assert (9 + 1.6449 * math.sqrt(2 * 9)) / 400 == pytest.approx(0.0400, abs=1e-4), "by the normal approximation"
    analytic = {5: (64.5, 28.7, 4.0, 0), 10: (98.1, 83.4, 35.0, 0.3), 20: (100, 99.9, 95.3, 16.1)}
    for cells, shares in analytic.items():
        for size, share in zip((50, 100, 200, 500), shares, strict=True):
            assert 100 * s.chi2_sf(0.1 * size / 2, cells - 1) == pytest.approx(share, abs=0.06)
    assert d.psi_noise(10, 100, 100) == pytest.approx(0.18)


def test_tails_are_those_of_scipy() -> None:
    for freedom in (1, 2, 5, 19, 60, 400):
        for statistic in (1e-3, 0.5, 3.0, 20.0, 90.0, 500.0, 1300.0):
            assert s.chi2_sf(statistic, freedom) == pytest.approx(scipy.stats.chi2.sf(statistic, freedom), rel=1e-9, abs=1e-290)
    for value in (0.05, 0.2, 0.49, 0.5, 0.7, 1.0, 2.0):
        assert s.kolmogorov_sf(value) == pytest.approx(scipy.special.kolmogorov(value), abs=1e-12)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_exact_tests_are_those_of_scipy(a: int, b: int, c: int, e: int) -> None:
    table = [[a, b], [c, e]]
    assert s.fisher(table) == pytest.approx(scipy.stats.fisher_exact(table).pvalue, rel=1e-6)
    if a + b and c + e and a:
        expected = scipy.stats.fisher_exact(table, alternative="greater").pvalue
        assert s.more_often(a, a + b, c, c + e) == pytest.approx(expected, rel=1e-6)


@given(counts)
def test_what_holds_for_any_counts(pairs: list[tuple[int, int]]) -> None:
    a, b = (list(part) for part in zip(*pairs, strict=True))
    for distance in (d.psi, d.js_distance, d.hellinger, d.l_infinity, d.total_variation, d.ks, d.cramers_v):
        value = distance(a, b)
        assert math.isfinite(value) and value >= 0
        assert distance(b, a) == pytest.approx(value, abs=1e-12), "symmetric"
        assert distance(a, a) == pytest.approx(0, abs=1e-7), "nothing is apart from itself"
    assert 0 <= s.two_sample(a, b).p <= 1
    assert s.two_sample(b, a).p == pytest.approx(s.two_sample(a, b).p, abs=1e-9)
    shuffled = [(a[i], b[i]) for i in np.random.default_rng(0).permutation(len(a))]
    x, y = (list(part) for part in zip(*shuffled, strict=True))
    assert d.psi(x, y) == pytest.approx(d.psi(a, b), abs=1e-12)
    for ordered in (False, True):
        one, other = s.pooled(np.array(a), np.array(b), ordered)
        assert one.sum() == sum(a) and other.sum() == sum(b), "no row is lost"


def test_two_samples_as_scipy_has_them() -> None:
    table = np.array([R, C])
    found = scipy.stats.chi2_contingency(table, correction=False)
    assert s.two_sample(R, C).p == pytest.approx(found.pvalue, rel=1e-12)
    assert s.two_sample(R, C, dispersion=2).statistic == pytest.approx(found.statistic / 2)
    assert s.two_sample([5, 5], [0, 0]).p == s.two_sample([5], [7]).p == 1


@given(counts)
def test_rank_sums_are_those_of_scipy(pairs: list[tuple[int, int]]) -> None:
    a, b = (np.array(part) for part in zip(*pairs, strict=True))
    p, places = s.rank_sum(a, b), np.arange(len(pairs))
    assert s.rank_sum(b, a) == pytest.approx(p, abs=1e-9), "symmetric"
    assert s.rank_sum(a[::-1], b[::-1]) == pytest.approx(p, abs=1e-9), "up as down"
    if a.sum() and b.sum() and np.count_nonzero(a + b) > 1:
        samples = [np.repeat(places, part) for part in (a, b)]
        found = scipy.stats.mannwhitneyu(*samples, method="asymptotic")
        assert p == pytest.approx(found.pvalue, abs=1e-9)
    else:
        assert p == 1


def test_wasserstein_of_bins_is_near_that_of_the_samples() -> None:
    draw = np.random.default_rng(0)
    x, y = draw.uniform(0, 1, 20_000), draw.uniform(0, 1, 20_000) ** 1.5
    edges = np.linspace(0, 1, 21)
    binned = d.wasserstein_binned(edges, np.histogram(x, edges)[0], np.histogram(y, edges)[0])
    assert binned == pytest.approx(d.wasserstein(x, y), rel=0.02)
    assert d.wasserstein_binned(edges, np.zeros(20), np.zeros(20)) == 0
