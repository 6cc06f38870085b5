"""Which ids of two lists are the same, where each id is a pair of 64 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Pairs = NDArray[np.uint64]
Places = NDArray[np.int64]
_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, and without a pattern
_FEW = 16


def match(wanted: Pairs, have: Pairs) -> tuple[Places, Places]:
    """Every (i, j) with `wanted[i] == have[j]`, as two arrays. The null id is equal to none. Few are found fast among many."""
    places = np.flatnonzero(wanted.any(axis=1))
    if not len(places) or not len(have):
        return places[:0], places[:0]
    seek = _folded(wanted[places])
    in_order = np.argsort(seek)
    order, ascending = places[in_order], seek[in_order]
    if len(order) * _FEW < len(have):
        rows = np.flatnonzero(_may_be(wanted[places], have))
        among = _folded(have[rows])
    else:
        among = _folded(have)
        rows = np.argsort(among)
        among = among[rows]
    left = np.searchsorted(ascending, among, "left")
    counts = np.searchsorted(ascending, among, "right") - left
    found = np.repeat(rows, counts)
    within = np.arange(len(found)) - np.repeat(np.cumsum(counts) - counts, counts)
    asked = order[np.repeat(left, counts) + within]
    same = (wanted[asked] == have[found]).all(axis=1)
    return asked[same], found[same]


def _folded(pairs: Pairs) -> NDArray[np.uint64]:
    return (pairs[:, 0] * _MIX) ^ (pairs[:, 1] * _MIX >> np.uint64(7)) ^ pairs[:, 1]


def _may_be(wanted: Pairs, among: Pairs) -> NDArray[Any]:
    """True for all that are wanted, and for a few more: by a table of bits that stays in the processor's cache."""
    bits = max(16, int(len(wanted) * _FEW).bit_length())
    shift = np.uint64(64 - bits)
    table = np.zeros(2**bits, bool)
    table[wanted[:, 1] * _MIX >> shift] = True
    return table[among[:, 1] * _MIX >> shift]
