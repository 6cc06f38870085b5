"""Control limits: how far a figure of a window may be from those of the reference's windows. Pure.

Monitors do not decide by them, since they hold for windows of one size only; they are what other tools alarm by.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from salver.monitors.significance import Floats


def control_limits(
    values: ArrayLike, deviations: float = 3.0, *, low: float | None = None, high: float | None = None
) -> tuple[float, float]:
    """(lower, upper): the mean ∓ so many standard deviations (of the values themselves: divided by n), within [low, high]."""
    of = np.asarray(values, np.float64)
    mean, reach = float(of.mean()), deviations * float(of.std())
    lower, upper = mean - reach, mean + reach
    return (lower if low is None else max(low, lower)), (upper if high is None else min(high, upper))


def pulls(values: ArrayLike, reference: ArrayLike) -> Floats:
    """How many standard deviations of the reference's values each value is from their mean."""
    of, known = np.asarray(values, np.float64), np.asarray(reference, np.float64)
    return (of - known.mean()) / known.std()
