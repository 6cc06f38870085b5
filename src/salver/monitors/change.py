"""Since when rows have been what they are now: the last point at which their mean changed. Pure."""

from __future__ import annotations

import math

import numpy as np

from salver.monitors.estimate import Floats

_LIMIT = math.sqrt(13.01)
"""Above it is what the largest of all splits between 5 and 95 % reaches by chance once in a hundred times (Andrews 1993, Tests
for parameter instability and structural change with unknown change point, Econometrica 61, table I)."""
_TRIMMED = 0.05
_FEWEST = 100  # rows on either side, below which a mean is not near to normal


def last_change(values: Floats, before: float = 0.0) -> int | None:
    """From which of the values, in order of time, on their mean is another than before; None where it has not changed.

    `before` is how many values with mean 0 came earlier. The strongest split is taken, then that of what came after, until
    there is none (binary segmentation; Scott, Knott 1974).
    """
    found: int | None = None
    while True:
        at = _split(values[found or 0 :], before if found is None else 0.0)
        if at is None:
            return found
        found = (found or 0) + at


def _split(values: Floats, before: float) -> int | None:
    count = len(values)
    least = max(_FEWEST, math.ceil(_TRIMMED * (before + count)))
    at = np.arange(max(0, math.ceil(least - before)), count - least + 1)
    spread = float(np.var(values)) if count else 0.0
    if not len(at) or not spread:
        return None
    sums = np.concatenate(([0.0], np.cumsum(values)))
    old, new = at + before, count - at
    difference = (sums[count] - sums[at]) / new - sums[at] / old
    z = np.abs(difference) / np.sqrt(spread * (1 / old + 1 / new))
    return int(at[np.argmax(z)]) if z.max() > _LIMIT else None
