"""Statistics: SciPy's figures to its own digits, and what must hold for any counts. Published figures: test_oracles.py."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from salver.monitors import distances as d
from salver.monitors import samples as t
from salver.monitors import significance as s

R, C = [16, 18, 16, 14, 12, 12], [16, 16, 16, 16, 16, 8]
counts = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=12)


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


def bhattacharyya(reference: Any, current: Any) -> float:
    return d.bhattacharyya(reference, current, filler=1e-12)


@given(counts)
def test_what_holds_for_any_counts(pairs: list[tuple[int, int]]) -> None:
    a, b = (list(part) for part in zip(*pairs, strict=True))
    for distance in (d.psi, d.js_distance, d.hellinger, d.l_infinity, d.total_variation, d.ks, d.cramers_v, bhattacharyya):
        value = distance(a, b)
        assert math.isfinite(value) and value >= 0
        assert distance(b, a) == pytest.approx(value, abs=1e-12), "symmetric"
        assert distance(a, a) == pytest.approx(0, abs=1e-7), "nothing is apart from itself"
    for likelihood in (False, True):
        found = s.two_sample(a, b, likelihood=likelihood)
        assert 0 <= found.p <= 1 and found.statistic >= 0
        assert s.two_sample(b, a, likelihood=likelihood).p == pytest.approx(found.p, abs=1e-9)
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


SAMPLES = [(30, 50, 0.3, 1.0), (100, 300, 0.2, 1.2), (400, 350, 0.0, 1.0), (200, 200, 1.5, 1.0)]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("n", "m", "shift", "scale"), SAMPLES)
def test_tests_of_samples_are_those_of_scipy(n: int, m: int, shift: float, scale: float, ties: bool) -> None:
    draw = np.random.default_rng(n)
    a, b = draw.normal(size=n), draw.normal(shift, scale, m)
    if ties:
        a, b = a.round(1), b.round(1)
    assert t.ks_test(a, b)[1] == pytest.approx(scipy.stats.ks_2samp(a, b, method="exact").pvalue, rel=1e-9)
    limit = scipy.stats.ks_2samp(a, b, method="asymp").pvalue
    assert t.ks_test(a, b, exact=False)[1] == pytest.approx(limit, rel=1e-4, abs=1e-9)
    von_mises = scipy.stats.cramervonmises_2samp(a, b, method="asymptotic")
    assert t.cramer_von_mises(a, b) == pytest.approx((von_mises.statistic, von_mises.pvalue), abs=1e-8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that p is beyond the table
        darling = scipy.stats.anderson_ksamp([a, b])
    assert t.anderson_darling(a, b) == pytest.approx((darling.statistic, darling.pvalue), rel=1e-9)
    epps = t.epps_singleton(a, b)
    assert (epps.statistic, epps.p) == pytest.approx(tuple(scipy.stats.epps_singleton_2samp(a, b)), rel=1e-8)
    for equal in (False, True):
        found = scipy.stats.ttest_ind(a, b, equal_var=equal)
        assert t.t_test(a, b, equal_variances=equal) == pytest.approx((found.statistic, found.pvalue), rel=1e-9)
    for side in ("two-sided", "less", "greater"):
        found = scipy.stats.mannwhitneyu(a, b, alternative=side, method="asymptotic")
        assert t.mann_whitney(a, b, side) == pytest.approx((found.statistic, found.pvalue), rel=1e-9)
    assert d.energy(a, b) == pytest.approx(scipy.stats.energy_distance(a, b), rel=1e-9)
    assert d.wasserstein(a, b) == pytest.approx(scipy.stats.wasserstein_distance(a, b), rel=1e-9)


def test_a_spread_is_seen_by_moods_test() -> None:
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=300), draw.normal(size=200) * 1.3
    every = np.sort(np.concatenate([a, b]))
    counted = [np.isin(every, part).astype(int) for part in (a, b)]
    assert s.rank_spread(*counted) == pytest.approx(scipy.stats.mood(a, b).pvalue, rel=1e-9)
    cells = [np.histogram(part, np.linspace(-5, 5, 21))[0] for part in (a, b)]
    for other in (cells[::-1], [part[::-1] for part in cells]):
        assert s.rank_spread(*other) == pytest.approx(s.rank_spread(*cells)), "symmetric"
    assert s.rank_spread(*cells) < 0.01 < s.rank_sum(*cells)
    assert s.rank_spread([5], [7]) == s.rank_spread([0, 0], [1, 2]) == 1


def test_small_cells_do_not_make_alarms() -> None:
    """Fifteen cells, ten of which expect five rows: Pearson's chi-square is beyond its 1e-3 nearly twice as often, G is not.

    20,000 windows of 300 rows beside a reference of 10,000.
    """
    draw, shares = np.random.default_rng(0), np.array([5 / 300] * 10 + [1 / 6] * 5)
    drawn = zip(draw.multinomial(10_000, shares, 20_000), draw.multinomial(300, shares, 20_000), strict=True)
    found = [[s.two_sample(a, b, likelihood=likelihood).p < 1e-3 for likelihood in (False, True)] for a, b in drawn]
    pearson, by_likelihood = np.mean(found, axis=0) / 1e-3
    assert pearson > 1.4 and 0.6 < by_likelihood < 1.4


def test_other_distances() -> None:
    assert d.kl_divergence([1, 1], [1, 3]) == pytest.approx(scipy.stats.entropy([0.5, 0.5], [0.25, 0.75]))
    assert d.kl_divergence([1, 1], [1, 3], base=2) == pytest.approx(scipy.stats.entropy([0.5, 0.5], [0.25, 0.75], base=2))
    assert d.kl_divergence([1, 1], [2, 0]) == math.inf == d.bhattacharyya([1, 0], [0, 1])
    assert math.isfinite(d.kl_divergence([1, 1], [2, 0], filler=1e-4))
    assert d.counted(["a", None, "a"], ["b"]) == ([2, 1, 0], [0, 0, 1])
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(60, 2)), draw.normal(1, 1, (40, 2))
    squares = [((a[:, None] - b[None]) ** 2).sum(2) for a, b in ((x, x), (y, y), (x, y))]
    kernels = [np.exp(-square / (2 * 1.5**2)) for square in squares]
    assert d.mmd(x, y, 1.5, unbiased=False) == pytest.approx(kernels[0].mean() + kernels[1].mean() - 2 * kernels[2].mean())
    off = [(kernel.sum() - len(kernel)) / (len(kernel) * (len(kernel) - 1)) for kernel in kernels[:2]]
    assert d.mmd(x, y, 1.5) == pytest.approx(sum(off) - 2 * kernels[2].mean())
    seen, p = t.permutation_test(x, y, d.mmd, rounds=100)
    assert seen == d.mmd(x, y) and p == 0
    assert t.permutation_test(x, draw.normal(size=(40, 2)), d.mmd, rounds=100)[1] > 0.05


def test_wasserstein_of_bins_is_near_that_of_the_samples() -> None:
    draw = np.random.default_rng(0)
    x, y = draw.uniform(0, 1, 20_000), draw.uniform(0, 1, 20_000) ** 1.5
    edges = np.linspace(0, 1, 21)
    binned = d.wasserstein_binned(edges, np.histogram(x, edges)[0], np.histogram(y, edges)[0])
    assert binned == pytest.approx(d.wasserstein(x, y), rel=0.02)
    assert d.wasserstein_binned(edges, np.zeros(20), np.zeros(20)) == 0
