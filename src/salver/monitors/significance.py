"""Whether counts could differ so by chance: tests of two samples that are counted in the same cells. Pure, without SciPy.

Everywhere `reference` and `current` are whole numbers, one a cell. A cell that is empty in both says nothing and takes no part.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Side = Literal["two-sided", "less", "greater"]
_TINY = 1e-300
_ROUNDS = 10_000
_SMALL_CELL = 5.0  # Cochran's rule: the chi-square distribution is a good one where this many rows are expected


class Test(NamedTuple):
    """What a test found. `p` is how often so much difference is seen where there is none."""

    statistic: float
    freedom: int
    p: float


def chi2_sf(statistic: float, freedom: float) -> float:
    """P(chi-square > statistic): the regularised upper incomplete gamma function.

    Source: DLMF 8.7.1 (series) and 8.9.2 (continued fraction, by Lentz's method).
    """
    if statistic <= 0 or freedom <= 0:
        return 1.0
    if math.isinf(statistic):
        return 0.0
    a, x = freedom / 2, statistic / 2
    front = math.exp(a * math.log(x) - x - math.lgamma(a)) if a * math.log(x) - x - math.lgamma(a) > -740 else 0.0
    if x < a + 1:
        term = total = 1 / a
        for k in range(1, _ROUNDS):
            term *= x / (a + k)
            total += term
            if term < total * 1e-16:
                break
        return max(0.0, 1 - total * front)
    b = x + 1 - a
    c, d = 1 / _TINY, 1 / b
    fraction = d
    for k in range(1, _ROUNDS):
        step = -k * (k - a)
        b += 2
        d = 1 / _away(step * d + b)
        c = _away(b + step / c)
        fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * fraction


def chi2_quantile(share: float, freedom: float) -> float:
    """The value below which chi-square lies with that probability, by bisection."""
    low, high = 0.0, freedom + 10.0
    while chi2_sf(high, freedom) > 1 - share:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if chi2_sf(middle, freedom) > 1 - share else (low, middle)
    return (low + high) / 2


def psi_limit(cells: int, reference_rows: float, current_rows: float, share: float = 0.95) -> float:
    """What a PSI of so many cells stays below with that probability where nothing differs (Yurdakul 2018).

    `reference_rows` may be infinite: shares that are known exactly.
    """
    return chi2_quantile(share, cells - 1) * (1 / reference_rows + 1 / current_rows)


def psi_sf(value: float, cells: int, reference_rows: float, current_rows: float) -> float:
    """P(PSI > value) where nothing differs (Yurdakul 2018)."""
    return chi2_sf(value / (1 / reference_rows + 1 / current_rows), cells - 1)


def normal_two_sided(z: float) -> float:
    """P(|Z| > |z|) of a standard normal."""
    return math.erfc(abs(z) / math.sqrt(2))


def kolmogorov_sf(value: float) -> float:
    """P(K > value) of Kolmogorov's distribution. Source: Marsaglia, Tsang, Wang (2003), J. Stat. Softw. 8(18), the limit."""
    if value <= 0:
        return 1.0
    if value < 0.5:  # the theta function's other series, which is quick where the first is not
        terms = sum(math.exp(-((2 * k - 1) ** 2) * math.pi**2 / (8 * value * value)) for k in range(1, 20))
        return 1 - math.sqrt(2 * math.pi) / value * terms
    return min(1.0, max(0.0, 2 * sum((-1) ** (k - 1) * math.exp(-2 * (k * value) ** 2) for k in range(1, 101))))


def two_sample(reference: ArrayLike, current: ArrayLike, dispersion: float = 1.0, *, likelihood: bool = False) -> Test:
    """Pearson's chi-square that both were drawn alike, with df = cells - 1, or with `likelihood` the G statistic.

    `dispersion` is how many times more rows vary between times than independent rows do; the statistic is divided by it
    (McCullagh, Nelder: Generalized Linear Models, 4.5). G is divided by Williams's factor (Biometrika 63 (1976) 33), which
    brings its mean to df. Where small cells take part and a p must be far below 1 %, as it must among hundreds of columns, only
    G can be relied on: five rows expected, and Pearson's chi-square is beyond its 1e-5 five to ten times as often. That of
    likelihoods has a tail of the right order at any size (Hoeffding, Ann. Math. Stat. 36 (1965) 369).
    """
    a, b = _paired(reference, current)
    n, m = float(a.sum()), float(b.sum())
    if len(a) < 2 or not n or not m:
        return Test(0.0, 0, 1.0)
    rows, both = n + m, a + b
    if likelihood:
        parts = [part[part > 0] * np.log(part[part > 0] * rows / (of * both[part > 0])) for part, of in ((a, n), (b, m))]
        factor = 1 + (rows / n + rows / m - 1) * (float(np.sum(rows / both)) - 1) / (6 * rows * (len(a) - 1))
        statistic = max(0.0, 2 * float(sum(part.sum() for part in parts))) / factor
    else:
        statistic = float(np.sum((math.sqrt(m / n) * a - math.sqrt(n / m) * b) ** 2 / both))
    return Test(statistic / dispersion, len(a) - 1, chi2_sf(statistic / dispersion, len(a) - 1))


def rank_sum(reference: ArrayLike, current: ArrayLike, dispersion: float = 1.0, side: Side = "two-sided") -> float:
    """The p that neither sample tends to higher cells: Wilcoxon's rank sum, the rows of a cell being ties.

    By the normal approximation, with the variance for ties and corrected for continuity (Lehmann: Nonparametrics, 1.3, 1.4).
    `side` "less" asks only whether the reference tends to lower cells, "greater" to higher ones.
    """
    a, b = _paired(reference, current)
    higher, spread = _scored(a, b, _midranks(a + b))
    if not spread:
        return 1.0
    spread *= math.sqrt(dispersion)
    if side != "two-sided":
        return math.erfc(((higher if side == "less" else -higher) - 0.5) / spread / math.sqrt(2)) / 2
    return normal_two_sided(max(0.0, abs(higher) - 0.5) / spread)


def rank_spread(reference: ArrayLike, current: ArrayLike, dispersion: float = 1.0) -> float:
    """The two-sided p that neither sample tends to be further from the middle of both: Mood's test of scale, with ties.

    By the normal approximation (Mood, Ann. Math. Stat. 25 (1954) 514; for ties, the variance of these very scores).
    """
    a, b = _paired(reference, current)
    ranks = _midranks(a + b)
    further, spread = _scored(a, b, (ranks - (float((a + b).sum()) + 1) / 2) ** 2)
    return normal_two_sided(further / (spread * math.sqrt(dispersion))) if spread else 1.0


def _midranks(rows: Floats) -> Floats:
    """Of cells in order: the mean of the ranks of their rows."""
    return np.cumsum(rows) - (rows - 1) / 2


def _scored(a: Floats, b: Floats, scores: Floats) -> tuple[float, float]:
    """The sum of the scores of the rows of b beyond what is expected, and its standard deviation over random orders."""
    n, m, both = float(a.sum()), float(b.sum()), a + b
    if len(a) < 2 or not n or not m:
        return 0.0, 0.0
    total = n + m
    centred = scores - float(np.dot(both, scores)) / total
    return float(np.dot(b, centred)), math.sqrt(n * m / (total * (total - 1)) * float(np.dot(both, centred**2)))


def goodness_of_fit(reference: ArrayLike, current: ArrayLike, *, likelihood: bool = False) -> Test:
    """Pearson's chi-square of `current` against the shares of `reference`, or with `likelihood` the G statistic.

    It takes the shares as exact, which those of a sample are not: `two_sample` is right for these.
    """
    a, b = _paired(reference, current)
    expected = a * b.sum() / a.sum()
    if (expected == 0).any():
        return Test(math.inf, len(a) - 1, 0.0)
    seen = b > 0
    statistic = (
        2 * float(np.sum(b[seen] * np.log(b[seen] / expected[seen])))
        if likelihood
        else float(np.sum((b - expected) ** 2 / expected))
    )
    return Test(statistic, len(a) - 1, chi2_sf(statistic, len(a) - 1))


def fisher(table: ArrayLike) -> float:
    """The two-sided p of a table of 2 × 2: all tables with these margins that are no likelier (Fisher's exact test)."""
    (a, b), (c, d) = np.asarray(table, dtype=np.int64).tolist()
    chances, first = _hypergeometric(a + b, c + d, a + c)
    return min(1.0, float(chances[chances <= chances[a - first] * (1 + 1e-7)].sum()))


def more_often(hits: int, rows: int, reference_hits: int, reference_rows: int) -> float:
    """The one-sided p that something is no more frequent than in the reference: Fisher's exact test, right at any size."""
    if not rows or not reference_rows or not hits:
        return 1.0
    chances, first = _hypergeometric(rows, reference_rows, hits + reference_hits)
    return min(1.0, float(chances[hits - first :].sum()))


def proportions(hits: int, rows: int, reference_hits: int, reference_rows: int) -> float:
    """The two-sided p that two shares are one, by the normal approximation with the pooled share."""
    share = (hits + reference_hits) / (rows + reference_rows)
    spread = math.sqrt(share * (1 - share) * (1 / rows + 1 / reference_rows))
    return normal_two_sided((hits / rows - reference_hits / reference_rows) / spread) if spread else 1.0


def permuted(
    reference: ArrayLike, current: ArrayLike, distance: Callable[[Any, Any], float], rounds: int = 1000, seed: int = 0
) -> float:
    """The p of any distance of counts: how often rows that are dealt out at random are as far apart."""
    a, b = np.asarray(reference, dtype=np.int64), np.asarray(current, dtype=np.int64)
    total, seen = a + b, distance(a, b) * (1 - 1e-12)
    dealt = np.random.default_rng(seed).multivariate_hypergeometric(total, int(a.sum()), rounds)
    return sum(distance(one, total - one) >= seen for one in dealt) / rounds


def false_discovery(p: ArrayLike) -> Floats:
    """Benjamini and Hochberg's adjusted p: the rate of false alarms among those that are as small or smaller.

    Source: J. R. Stat. Soc. B 57 (1995) 289. It controls that rate for independent and positively dependent tests.
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values)
    scaled = values[order] * len(values) / np.arange(1, len(values) + 1)
    adjusted = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    made = np.empty_like(adjusted)
    made[order] = adjusted
    return made


def pooled(reference: NDArray[Any], current: NDArray[Any], ordered: bool) -> tuple[Floats, Floats]:
    """Cells too small for chi-square put together: neighbours where cells have an order, else all small ones.

    A cell is large enough when at least five rows are expected in it, in both samples, were they drawn alike (Cochran).
    """
    a, b = _paired(reference, current)
    n, m = float(a.sum()), float(b.sum())
    if not n or not m:
        return a, b
    least = _SMALL_CELL * (n + m) / min(n, m)
    total = a + b
    if (total >= least).all():
        return a, b
    if not ordered:
        small = total < least
        groups = np.where(small, 0, np.cumsum(~small))
    else:
        groups = _runs(total, least)
    made = [np.bincount(groups, part).astype(np.float64) for part in (a, b)]
    kept = made[0] + made[1] > 0
    one, other = made[0][kept], made[1][kept]
    if len(one) > 1 and one[0] + other[0] < least:  # what was put together is still small: it joins its neighbour
        one, other = (np.concatenate([[part[0] + part[1]], part[2:]]) for part in (one, other))
    return one, other


def _runs(total: Floats, least: float) -> NDArray[np.int64]:
    """Numbers of groups of neighbours, each with `least` rows; what is left over at the end joins the last."""
    groups = np.zeros(len(total), dtype=np.int64)
    group, sum_ = 0, 0.0
    for i, rows in enumerate(total.tolist()):
        groups[i] = group
        sum_ += rows
        if sum_ >= least:
            group, sum_ = group + 1, 0.0
    if sum_ and group:
        groups[groups == group] = group - 1
    return groups


def _paired(reference: ArrayLike, current: ArrayLike) -> tuple[Floats, Floats]:
    a, b = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    seen = (a + b) > 0
    return a[seen], b[seen]


def _hypergeometric(rows: int, others: int, hits: int) -> tuple[Floats, int]:
    """The chance of each number of hits among `rows`, of so many among all, and the smallest number there can be."""
    first, last = max(0, hits - others), min(rows, hits)
    k = np.arange(first, last, dtype=np.float64)
    steps = np.log((rows - k) * (hits - k)) - np.log((k + 1) * (others - hits + k + 1))
    logs = np.concatenate([[0.0], np.cumsum(steps)])
    logs -= logs.max()
    chances = np.exp(logs)
    return chances / chances.sum(), first


def _away(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
