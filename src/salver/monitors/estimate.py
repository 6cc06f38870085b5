"""A number that was measured on a sample, with the interval that holds the true one 95 times of 100."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

Z = 1.959963984540054  # 97.5 % of a normal distribution lies below
Floats = NDArray[np.float64]


class Estimate(msgspec.Struct, frozen=True):
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


def normal(value: float, variance: float, *, low: float = -math.inf, high: float = math.inf) -> Estimate:
    """By the normal approximation, within the bounds that the value has."""
    reach = Z * math.sqrt(max(variance, 0.0))
    return Estimate(value, max(low, value - reach), min(high, value + reach))


def wilson(share: float, rows: float) -> Estimate:
    """Of a share among so many rows (Wilson's score interval): right for few rows, and for shares near 0 and 1."""
    if not rows:
        return Estimate(share, 0.0, 1.0)
    z = Z * Z / rows
    middle = (share + z / 2) / (1 + z)
    reach = math.sqrt(max(0.0, z * (share * (1 - share) + z / 4))) / (1 + z)
    return Estimate(share, max(0.0, middle - reach), min(1.0, middle + reach))


def effective(weights: Floats) -> float:
    """How many rows of equal weight say as much as these (Kish)."""
    squares = float(np.dot(weights, weights))
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def mean(values: Floats, weights: Floats, *, low: float = -math.inf, high: float = math.inf) -> Estimate:
    """The weighted mean."""
    total = float(weights.sum())
    value = float(np.dot(values, weights)) / total
    spread = weights * (values - value)
    return normal(value, float(np.dot(spread, spread)) / total**2, low=low, high=high)
