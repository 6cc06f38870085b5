"""A decision tree as plain arrays, in which every library's trees can be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Compare = Literal["<=", "<"]


@dataclass(frozen=True)
class Tree:
    """One tree. All arrays have one entry a node; node 0 is the root; a leaf has `left` -1.

    A row goes left where `feature compare threshold`, or, at a node in `members`, where the feature is one of those
    values; a missing one goes left where `missing_left`. `values` are (nodes, outputs), read at leaves only.
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    values: NDArray[np.float64]
    missing_left: NDArray[np.bool_]
    members: Mapping[int, NDArray[np.float64]] = field(default_factory=dict[int, NDArray[np.float64]])

    @property
    def is_leaf(self) -> NDArray[np.bool_]:
        return self.left < 0


def constant(values: ArrayLike) -> Tree:
    """A tree of one leaf."""
    none = np.array([-1])
    return Tree(none, np.zeros(1), none, none, np.asarray(values, np.float64).reshape(1, -1), np.zeros(1, bool))


def limits_of(tree: Tree, compare: Compare, single: bool, dtype: Any) -> NDArray[Any]:
    """Thresholds of `dtype` for which `x <= limit` is what the library's own comparison says."""
    # Nothing is less than -inf, and nothing `<=` NaN.
    threshold = np.where(tree.threshold == -np.inf, np.nan, tree.threshold) if compare == "<" else tree.threshold
    if not single:
        return threshold if compare == "<=" else np.nextafter(threshold, -np.inf)
    below = _float32_below(threshold, compare)
    return below if dtype == np.float32 else _widest_double(below)


def _float32_below(threshold: NDArray[np.float64], compare: Compare) -> NDArray[np.float32]:
    """The largest float32 that is `<=` (or `<`) each threshold."""
    with np.errstate(over="ignore"):
        single = threshold.astype(np.float32)
        back = single > threshold if compare == "<=" else single >= threshold
        return np.where(back, np.nextafter(single, np.float32(-np.inf)), single)


def _widest_double(single: NDArray[np.float32]) -> NDArray[np.float64]:
    """The largest doubles that round to these float32 numbers: `x <= it` is `float32(x) <= single` without a cast.

    Half way to the next float32 rounds to the even one of both; infinity rounds as if it were the next power of two.
    """
    with np.errstate(over="ignore"):
        following = np.nextafter(single, np.float32(np.inf))
    low, high = (np.clip(side.astype(np.float64), -(2.0**128), 2.0**128) for side in (single, following))
    half = (low + high) / 2
    even = single.view(np.int32) % 2 == 0
    return np.where(single == np.inf, np.inf, np.where(even, half, np.nextafter(half, -np.inf)))
