"""Whether two samples of numbers could differ so by chance: tests that need the numbers themselves. Pure, without SciPy.

Monitors judge counts (`significance.py`), which add up and keep no rows. These are for two tables at hand, and for comparing
with what other tools say. Numbers are finite; leave out what is missing first.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from salver.monitors.distances import ks_samples
from salver.monitors.significance import Floats, Side, Test, chi2_sf, kolmogorov_sf, rank_sum

_EXACT = 10_000  # rows of the larger sample, up to which paths are counted
_FEW = 25
_STEPS = 400
_DARLING_TABLE = (  # p, and the parts of its critical value
    (0.25, 0.1, 0.05, 0.025, 0.01, 0.005, 0.001),
    (0.675, 1.281, 1.645, 1.96, 2.326, 2.573, 3.085),
    (-0.245, 0.25, 0.678, 1.149, 1.822, 2.364, 3.615),
    (-0.105, -0.305, -0.362, -0.391, -0.396, -0.345, -0.154),
)


def ks_test(reference: ArrayLike, current: ArrayLike, *, exact: bool | None = None) -> tuple[float, float]:
    """Kolmogorov and Smirnov: the largest distance of the distribution functions, and its two-sided p.

    The exact p is that of all orders in which the rows could have come (Hodges 1958), right without ties and cautious with
    them; it is the default up to 10,000 rows. Else that of one sample of n m / (n + m) rows.
    """
    a, b = _sorted(reference), _sorted(current)
    n, m = len(a), len(b)
    distance = ks_samples(a, b)
    if exact or (exact is None and max(n, m) <= _EXACT):
        return distance, _path_outside(n, m, round(distance * math.lcm(n, m)))
    return distance, kolmogorov_finite_sf(distance, round(n * m / (n + m)))


def kolmogorov_finite_sf(distance: float, rows: int) -> float:
    """P(D > distance) of one sample of so many rows. Source: Marsaglia, Tsang, Wang, J. Stat. Softw. 8(18) (2003)."""
    reach = rows * distance
    if rows > _EXACT or reach * distance > 18:  # the limit, or a p of less than 1e-15
        return kolmogorov_sf(distance * math.sqrt(rows))
    k = int(reach) + 1
    size, rest = 2 * k - 1, k - reach
    steps = np.subtract.outer(np.arange(size), np.arange(size)) + 1
    made = (steps >= 0).astype(np.float64)
    powers = rest ** np.arange(1, size + 1)
    made[:, 0] -= powers
    made[-1] -= powers[::-1]
    made[-1, 0] += max(2 * rest - 1, 0.0) ** size
    logs = np.array([math.lgamma(step + 1) for step in range(size + 1)])
    made *= np.exp(-logs[np.maximum(steps, 0)])
    power, log_scale = _power(made, rows)
    log_inside = math.log(max(float(power[k - 1, k - 1]), 1e-300)) + log_scale + math.lgamma(rows + 1) - rows * math.log(rows)
    return min(1.0, max(0.0, 1 - math.exp(log_inside)))


def _power(matrix: Floats, exponent: int) -> tuple[Floats, float]:
    """A power of a matrix of positive numbers, and the logarithm of what it must be multiplied with."""
    made, log_made, square, log_square = np.eye(len(matrix)), 0.0, matrix, 0.0
    while exponent:
        if exponent & 1:
            made, log_made = made @ square, log_made + log_square
        square, log_square, exponent = square @ square, 2 * log_square, exponent >> 1
        for_made, for_square = float(np.abs(made).max()), float(np.abs(square).max())
        made, log_made = made / for_made, log_made + math.log(for_made)
        square, log_square = square / for_square, log_square + math.log(for_square)
    return made, log_made


def _path_outside(n: int, m: int, reach: int) -> float:
    """The chance that a random order of n and m rows is anywhere `reach` / lcm(n, m) apart: a walk over the steps of both."""
    if not reach:
        return 1.0
    whole = math.lcm(n, m)
    of_a, of_b = whole // n, whole // m
    inside, left, outside = np.ones(1), 0, 0.0  # the chance of each number of rows of the first, from `left` on
    for step in range(1, n + m + 1):
        at = np.arange(left, left + len(inside))
        of_all = n + m - step + 1
        moved = np.concatenate([inside * (m - (step - 1 - at)) / of_all, [0.0]])
        moved[1:] += inside * (n - at) / of_all
        at = np.arange(left, left + len(moved))
        kept = np.flatnonzero((np.abs(at * of_a - (step - at) * of_b) < reach) & (moved > 0))  # neighbours all
        if not len(kept):
            return min(1.0, outside + float(moved.sum()))
        first, last = int(kept[0]), int(kept[-1]) + 1
        outside += float(moved[:first].sum() + moved[last:].sum())
        inside, left = moved[first:last], left + first
    return min(1.0, outside)


def cramer_von_mises(reference: ArrayLike, current: ArrayLike) -> tuple[float, float]:
    """The sum of squared distances of the distribution functions over all rows, and its p by the limit distribution.

    Source: Anderson: On the distribution of the two-sample Cramér-von Mises criterion, Ann. Math. Stat. 33 (1962).
    """
    a, b = _sorted(reference), _sorted(current)
    n, m = len(a), len(b)
    every = np.sort(np.concatenate([a, b]))
    ranks = [(np.searchsorted(every, part, "left") + np.searchsorted(every, part, "right") + 1) / 2 for part in (a, b)]
    sums = [len(rank) * float(np.sum((rank - np.arange(1, len(rank) + 1)) ** 2)) for rank in ranks]
    rows = n + m
    statistic = sum(sums) / (n * m * rows) - (4 * n * m - 1) / (6 * rows)
    mean = (1 + 1 / rows) / 6
    variance = (rows + 1) * (4 * n * m * rows - 3 * (n * n + m * m) - 2 * n * m) / (45 * rows**2 * 4 * n * m)
    return statistic, cramer_von_mises_sf(1 / 6 + (statistic - mean) / math.sqrt(45 * variance))


def cramer_von_mises_sf(value: float) -> float:
    """P(W² > value) in the limit. Source: Anderson, Darling, Ann. Math. Stat. 23 (1952), (4.35)."""
    if value < 0.003:
        return 1.0
    total = 0.0
    for k in range(20):
        u = (4 * k + 1) ** 2 / (16 * value)
        total += math.gamma(k + 0.5) / math.gamma(0.5) / math.factorial(k) * math.sqrt(4 * k + 1) * _bessel_quarter(u)
    return min(1.0, max(0.0, 1 - total / (math.pi * math.sqrt(value))))


def _bessel_quarter(u: float) -> float:
    """exp(-u) K(u), with the modified Bessel function of order 1/4: its integral (DLMF 10.32.9) by the trapezoidal rule."""
    last = math.acosh(1 + 40 / u)
    t = np.linspace(0.0, last, _STEPS + 1)
    heights = np.exp(-u * (np.cosh(t) + 1)) * np.cosh(t / 4)
    return float(heights.sum() - (heights[0] + heights[-1]) / 2) * last / _STEPS


def anderson_darling(reference: ArrayLike, current: ArrayLike) -> tuple[float, float]:
    """The standardised two-sample statistic, with ties, and its p between 0.001 and 0.25, beyond which tables do not go.

    Source: Scholz, Stephens: K-sample Anderson-Darling tests, J. Am. Stat. Assoc. 82 (1987), (7) and table 2.
    """
    samples = [_sorted(reference), _sorted(current)]
    every = np.sort(np.concatenate(samples))
    rows, values = len(every), np.unique(every)
    left, right = np.searchsorted(every, values, "left"), np.searchsorted(every, values, "right")
    ties = right - left
    before = left + ties / 2
    below = before * (rows - before) - rows * ties / 4
    statistic = 0.0
    for part in samples:
        own = np.searchsorted(part, values, "right")
        own = own - (own - np.searchsorted(part, values, "left")) / 2
        parts = ties / rows * (rows * own - before * len(part)) ** 2
        statistic += float(np.sum(np.divide(parts, below, out=np.zeros(len(values)), where=below > 0))) / len(part)
    standard = (statistic * (rows - 1) / rows - 1) / math.sqrt(_darling_variance(rows, [len(part) for part in samples]))
    shares, *parts = np.array(_DARLING_TABLE)
    critical = np.sum(parts, axis=0)
    fitted = np.polyfit(critical, np.log(shares), 2)
    if standard < critical[0]:
        return standard, 0.25
    return standard, 0.001 if standard > critical[-1] else math.exp(float(np.polyval(fitted, standard)))


def _darling_variance(rows: int, sizes: list[int]) -> float:
    """Of the statistic of two samples (Scholz, Stephens 1987, (4))."""
    inverse = sum(1 / size for size in sizes)
    tails = np.cumsum(1 / np.arange(rows - 1, 1, -1))
    h = float(tails[-1]) + 1
    g = float(np.sum(tails / np.arange(2, rows)))
    a = (4 * g - 6) + (10 - 6 * g) * inverse
    b = (2 * g - 4) * 4 + 16 * h + (2 * g - 14 * h - 4) * inverse - 8 * h + 4 * g - 6
    c = (6 * h + 2 * g - 2) * 4 + (4 * h - 4 * g + 6) * 2 + (2 * h - 6) * inverse + 4 * h
    d = (2 * h + 6) * 4 - 8 * h
    return (a * rows**3 + b * rows**2 + c * rows + d) / ((rows - 1.0) * (rows - 2) * (rows - 3))


def epps_singleton(reference: ArrayLike, current: ArrayLike, at: tuple[float, ...] = (0.4, 0.8)) -> Test:
    """Whether the characteristic functions differ at these points (in half interquartile ranges of both samples).

    It needs no continuity, and sees changes of scale. Source: Epps, Singleton, J. Stat. Comput. Simul. 26 (1986), with their
    correction for samples of fewer than 25 rows.
    """
    samples = [np.asarray(part, np.float64) for part in (reference, current)]
    every = np.concatenate(samples)
    low, high = np.percentile(every, [25, 75])
    points = np.asarray(at)[:, None] / ((high - low) / 2 or 1.0)
    waves = [np.vstack([np.cos(points * part), np.sin(points * part)]) for part in samples]
    rows = len(every)
    spread = np.sum([rows / part.shape[1] * np.cov(part, bias=True) for part in waves], axis=0)
    apart = waves[0].mean(axis=1) - waves[1].mean(axis=1)
    statistic = rows * float(apart @ np.linalg.pinv(spread) @ apart)
    if max(map(len, samples)) < _FEW:
        statistic /= 1 + rows**-0.45 + 10.1 * sum(len(part) ** -1.7 for part in samples)
    freedom = int(np.linalg.matrix_rank(spread))
    return Test(statistic, freedom, chi2_sf(statistic, freedom))


def mann_whitney(reference: ArrayLike, current: ArrayLike, side: Side = "two-sided") -> tuple[float, float]:
    """U: in how many pairs the reference's row is the higher one, ties counting half; and p by the normal approximation.

    `side` "less" asks only whether the reference tends to be less, "greater" to be more.
    """
    a, b = _sorted(reference), _sorted(current)
    values, places = np.unique(np.concatenate([a, b]), return_inverse=True)
    counts = [np.bincount(part, minlength=len(values)) for part in (places[: len(a)], places[len(a) :])]
    u = float((np.searchsorted(b, a, "left") + np.searchsorted(b, a, "right")).sum()) / 2
    return u, rank_sum(counts[0], counts[1], side=side)


def t_test(reference: ArrayLike, current: ArrayLike, *, equal_variances: bool = False) -> tuple[float, float]:
    """t and the two-sided p that the means are one: Welch's, or Student's where the variances are taken to be equal."""
    a, b = (np.asarray(part, np.float64) for part in (reference, current))
    n, m = len(a), len(b)
    of_a, of_b = float(a.var(ddof=1)), float(b.var(ddof=1))
    if equal_variances:
        freedom = n + m - 2.0
        variance = ((n - 1) * of_a + (m - 1) * of_b) / freedom * (1 / n + 1 / m)
    else:
        variance = of_a / n + of_b / m
        freedom = variance**2 / ((of_a / n) ** 2 / (n - 1) + (of_b / m) ** 2 / (m - 1)) if variance else 1.0
    apart = float(a.mean() - b.mean())
    if not variance:
        return (0.0, 1.0) if not apart else (math.copysign(math.inf, apart), 0.0)
    t = apart / math.sqrt(variance)
    return t, student_two_sided(t, freedom)


def student_two_sided(t: float, freedom: float) -> float:
    """P(|T| > |t|) of Student's distribution: the regularised incomplete beta function (DLMF 8.17.22, by Lentz's method)."""
    x, a, b = freedom / (freedom + t * t), freedom / 2, 0.5
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(1 - x, b, a)
    return _beta(x, a, b)


def _beta(x: float, a: float, b: float) -> float:
    if x <= 0 or x >= 1:
        return min(1.0, max(0.0, x))
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    fraction = d
    for k in range(1, 10_000):
        for step in (
            k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k)),
            -(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1)),
        ):
            d, c = 1 / (1 + step * d), 1 + step / c
            fraction *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return front * fraction


def permutation_test(
    reference: ArrayLike, current: ArrayLike, distance: Callable[[Floats, Floats], float], rounds: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Any distance of two samples, (rows,) or (rows, columns), and its p: how often rows dealt out are as far apart."""
    a, b = (np.asarray(part, np.float64) for part in (reference, current))
    draw, every, seen = np.random.default_rng(seed), np.concatenate([a, b]), distance(a, b)
    further = 0
    for _ in range(rounds):
        mixed = draw.permutation(every)
        further += distance(mixed[: len(a)], mixed[len(a) :]) >= seen
    return seen, further / rounds


def _sorted(sample: ArrayLike) -> Floats:
    return np.sort(np.asarray(sample, np.float64))
