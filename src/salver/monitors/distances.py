"""How far two samples are apart, whether or not by chance. Pure functions of counts in the same cells, or of the samples.

Counts are whole numbers, one a cell; those of nothing at all are 0 apart from each other. `counted` makes them of values,
`numpy.histogram` of numbers. All are symmetric but `kl_divergence`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
_HALF_ROW = 0.5


def counted(reference: Iterable[Any], current: Iterable[Any]) -> tuple[list[int], list[int]]:
    """Values as counts in the same cells: one cell for each value of either, in the order in which they are first seen."""
    a, b = Counter(reference), Counter(current)
    cells = dict.fromkeys([*a, *b])
    return [a[value] for value in cells], [b[value] for value in cells]


def psi(reference: ArrayLike, current: ArrayLike, filler: float | None = None) -> float:
    """The population stability index: Σ (q - p) ln(q / p), that is Jeffreys' divergence.

    Where a cell is empty in one of them, each cell gets half a row more (Jeffreys' prior), so that the index is finite and
    depends on no filler. With a `filler`, as other tools have it, that share stands where a share is 0, and nothing else is
    changed. Source: Yurdakul: Statistical properties of the population stability index (2018).
    """
    a, b = _counts(reference, current)
    if not a.sum() or not b.sum():
        return 0.0
    if filler is None and ((a == 0).any() or (b == 0).any()):
        a, b = a + _HALF_ROW, b + _HALF_ROW
    p, q = _filled(a / a.sum(), filler), _filled(b / b.sum(), filler)
    return float(np.sum((q - p) * np.log(q / p)))


def psi_noise(cells: int, reference_rows: float, current_rows: float) -> float:
    """What `psi` is on average where nothing differs: (cells - 1)(1/n + 1/m) (Yurdakul 2018)."""
    return max(cells - 1, 0) * (1 / reference_rows + 1 / current_rows) if reference_rows and current_rows else 0.0


def js_distance(reference: ArrayLike, current: ArrayLike, base: float = 2.0) -> float:
    """The Jensen-Shannon distance: the root of the divergence; in base 2 from 0 to 1 (Endres, Schindelin 2003)."""
    return math.sqrt(max(0.0, js_divergence(reference, current, base)))


def js_divergence(reference: ArrayLike, current: ArrayLike, base: float = 2.0) -> float:
    """The mean Kullback-Leibler divergence of both from their mean (Lin 1991)."""
    p, q = _shares(reference, current)
    middle = (p + q) / 2
    total = 0.0
    for part in (p, q):
        seen = part > 0
        total += float(np.sum(part[seen] * np.log(part[seen] / middle[seen]))) / 2
    return total / math.log(base)


def kl_divergence(reference: ArrayLike, current: ArrayLike, base: float = math.e, filler: float | None = None) -> float:
    """Σ p log(p / q), with p the reference's shares: infinite where only the reference has rows, unless a `filler` stands
    where a share is 0 (Kullback, Leibler 1951). Swap them for the other direction."""
    p, q = (_filled(part, filler) for part in _shares(reference, current))
    seen = p > 0
    if (q[seen] == 0).any():
        return math.inf
    return float(np.sum(p[seen] * np.log(p[seen] / q[seen]))) / math.log(base)


def bhattacharyya(reference: ArrayLike, current: ArrayLike, filler: float | None = None) -> float:
    """-ln Σ √(p q) (Bhattacharyya 1943): infinite where no cell has rows of both, unless a `filler` stands for a share of 0."""
    p, q = _shares(reference, current)
    if not p.any():
        return 0.0
    common = float(np.sum(np.sqrt(_filled(p, filler) * _filled(q, filler))))
    return max(0.0, -math.log(common)) if common > 0 else math.inf


def hellinger(reference: ArrayLike, current: ArrayLike) -> float:
    """√(1 - Σ √(p q)), from 0 to 1."""
    p, q = _shares(reference, current)
    return math.sqrt(max(0.0, float(np.sum((np.sqrt(p) - np.sqrt(q)) ** 2)) / 2))


def l_infinity(reference: ArrayLike, current: ArrayLike) -> float:
    """The largest difference of a cell's share."""
    p, q = _shares(reference, current)
    return float(np.abs(p - q).max(initial=0.0))


def total_variation(reference: ArrayLike, current: ArrayLike) -> float:
    """Half the sum of the differences of shares: how much mass would have to move."""
    p, q = _shares(reference, current)
    return float(np.abs(p - q).sum()) / 2


def ks(reference: ArrayLike, current: ArrayLike) -> float:
    """The largest difference of the cumulative shares over cells in order: at most that of the samples themselves."""
    p, q = _shares(reference, current)
    return float(np.abs(np.cumsum(p - q)).max(initial=0.0))


def cramers_v(reference: ArrayLike, current: ArrayLike, *, least: float = 0.0, continuity: bool = False) -> float:
    """Cramér's V of the table of both, corrected for its bias (Bergsma 2013), from 0 to 1.

    Cells with a smaller share of the reference than `least` are left out. `continuity` is Yates's correction, of two cells.
    """
    a, b = _counts(reference, current)
    if least:
        kept = a >= least * a.sum()
        a, b = a[kept], b[kept]
    n, cells = float(a.sum() + b.sum()), len(a)
    if cells < 2 or n < 2 or not a.sum() or not b.sum():
        return 0.0
    total = a + b
    expected = [total * part.sum() / n for part in (a, b)]
    apart = np.abs(a - expected[0])  # the same of both, in each cell
    if continuity and cells == 2:
        apart = np.maximum(apart - 0.5, 0.0)
    squared = sum(float(np.sum(apart**2 / of)) for of in expected) / n
    corrected = max(0.0, squared - (cells - 1) / (n - 1))
    rows, columns = 2 - 1 / (n - 1), cells - (cells - 1) ** 2 / (n - 1)
    return math.sqrt(corrected / max(min(rows, columns) - 1, 1e-12))


def wasserstein(reference: ArrayLike, current: ArrayLike) -> float:
    """The first Wasserstein distance of two samples of numbers: the area between their distribution functions."""
    a, b = np.sort(np.asarray(reference, np.float64)), np.sort(np.asarray(current, np.float64))
    every = np.sort(np.concatenate([a, b]))
    below = [np.searchsorted(part, every[:-1], side="right") / len(part) for part in (a, b)]
    return float(np.sum(np.abs(below[0] - below[1]) * np.diff(every)))


def ks_samples(reference: ArrayLike, current: ArrayLike) -> float:
    """The Kolmogorov-Smirnov distance of two samples of numbers."""
    a, b = np.sort(np.asarray(reference, np.float64)), np.sort(np.asarray(current, np.float64))
    every = np.concatenate([a, b])
    return float(np.abs(np.searchsorted(a, every, "right") / len(a) - np.searchsorted(b, every, "right") / len(b)).max())


def energy(reference: ArrayLike, current: ArrayLike) -> float:
    """The energy distance of two samples of numbers: √(2 ∫ (F - G)²) (Székely, Rizzo 2013)."""
    a, b = np.sort(np.asarray(reference, np.float64)), np.sort(np.asarray(current, np.float64))
    every = np.sort(np.concatenate([a, b]))
    below = [np.searchsorted(part, every[:-1], side="right") / len(part) for part in (a, b)]
    return math.sqrt(2 * float(np.sum((below[0] - below[1]) ** 2 * np.diff(every))))


def mmd(reference: ArrayLike, current: ArrayLike, width: float | None = None, *, unbiased: bool = True) -> float:
    """The squared maximum mean discrepancy of two samples, (rows,) or (rows, columns), with a Gaussian kernel.

    The kernel is exp(-d² / (2 width²)); the width is the median distance of the rows of both where none is given. Unbiased, it
    can be less than 0. It looks at each pair of rows. Source: Gretton et al., J. Mach. Learn. Res. 13 (2012), lemma 6.
    """
    samples = [np.asarray(part, np.float64) for part in (reference, current)]
    a, b = (part[:, None] if part.ndim == 1 else part for part in samples)
    every = np.concatenate([a, b])
    square = np.maximum(((every**2).sum(1)[:, None] + (every**2).sum(1)) - 2 * every @ every.T, 0.0)
    if width is None:
        width = math.sqrt(float(np.median(square[np.triu_indices(len(every), 1)]))) or 1.0
    kernel, n, m = np.exp(-square / (2 * width * width)), len(a), len(b)
    own = [kernel[:n, :n], kernel[n:, n:]]
    if unbiased:
        means = [float(part.sum() - len(part)) / (len(part) * (len(part) - 1)) for part in own]
    else:
        means = [float(part.mean()) for part in own]
    return sum(means) - 2 * float(kernel[:n, n:].sum()) / (n * m)


def wasserstein_binned(edges: ArrayLike, reference: ArrayLike, current: ArrayLike) -> float:
    """The same from counts between edges, as if a bin's rows lay evenly in it. Counts have a cell less than there are edges.

    What is below the first edge or above the last is not in it, so that no outlier can wreck it.
    """
    at = np.asarray(edges, np.float64)
    p, q = (np.asarray(part, np.float64) for part in (reference, current))
    if len(at) < 2 or not p.sum() or not q.sum():
        return 0.0
    ahead = np.concatenate([[0.0], np.cumsum(p / p.sum() - q / q.sum())])
    left, right, width = ahead[:-1], ahead[1:], np.diff(at)
    crosses = left * right < 0
    straight = (np.abs(left) + np.abs(right)) / 2
    crossed = (left**2 + right**2) / (2 * np.maximum(np.abs(left) + np.abs(right), 1e-300))
    return float(np.sum(width * np.where(crosses, crossed, straight)))


def _filled(shares: Floats, filler: float | None) -> Floats:
    return shares if filler is None else np.where(shares == 0, filler, shares)


def _counts(reference: ArrayLike, current: ArrayLike) -> tuple[Floats, Floats]:
    a, b = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    seen = (a + b) > 0
    return a[seen], b[seen]


def _shares(reference: ArrayLike, current: ArrayLike) -> tuple[Floats, Floats]:
    """Shares of both; of nothing at all, those of the other, so that they are not apart."""
    a, b = _counts(reference, current)
    if not a.sum() or not b.sum():
        return np.zeros(1), np.zeros(1)
    return a / a.sum(), b / b.sum()
