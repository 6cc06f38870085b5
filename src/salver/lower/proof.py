"""Holds a lowered model against the original on the same rows. Only one that agrees is served."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.artifact.manifest import Attempt
from salver.types.signature import Columns, Signature, rows_of, take

_BATCHES = (1, 2, 3, 7, 16, 33, 128)  # sizes a server meets: sums may be ordered differently in each


def prove(
    by: str,
    signature: Signature,
    expected: Columns,
    predict: Callable[[slice], Columns],
    tolerance: float,
) -> Attempt:
    """Compare `predict(rows)` with the original's `expected` outputs on all rows, in batches of every size a server meets.

    Labels must be identical on every row and numbers within `tolerance`, relative to max(1, |original|). NaN equals NaN, an
    infinity equals itself. Never raises: an exception of the lowered model is its reason for not being proven.
    """
    total = rows_of(expected)
    flips, largest, at = 0, 0.0, 0
    try:
        for turn in range(total):
            rows = slice(at, min(at + (_BATCHES[turn] if turn < len(_BATCHES) else 1024), total))
            answer = predict(rows)
            flipped, difference = compare(signature, take(expected, rows), answer)
            flips, largest, at = flips + flipped, max(largest, difference), rows.stop
            if at >= total:
                break
    except Exception as error:
        return Attempt(by, False, f"{type(error).__name__} on proof rows", rows=at, tolerance=tolerance)
    reason = ""
    if flips:
        reason = f"{flips} of {total} labels differ"
    elif not largest <= tolerance:
        reason = f"numbers differ by {largest:.2g}, more than {tolerance:.2g}"
    # JSON has no infinity: the manifest holds the largest number in its place.
    shown = min(largest, float(np.finfo(np.float64).max))
    return Attempt(by, not reason, reason, rows=total, label_flips=flips, largest_difference=shown, tolerance=tolerance)


def compare(signature: Signature, expected: Columns, answer: Columns) -> tuple[int, float]:
    """(rows whose labels differ, the largest difference of the numbers), over all outputs of the signature."""
    flips, largest = 0, 0.0
    for output in signature.outputs:
        want, got = expected[output.name], answer[output.name]
        if want.shape != got.shape:
            return rows_of(expected), np.inf
        if output.classes is not None or want.dtype.kind not in "fc":
            flips += int((want != got).reshape(len(want), -1).any(axis=1).sum())
        else:
            largest = max(largest, largest_difference(want, got))
    return flips, largest


def largest_difference(want: NDArray[Any], got: NDArray[Any]) -> float:
    """The largest |a - b| / max(1, |a|); 0 where both are NaN or the same infinity, ∞ where only one is."""
    a, b = want.astype(np.float64).ravel(), got.astype(np.float64).ravel()
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return 0.0
    a, b = a[~same], b[~same]
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(a - b) / np.maximum(1.0, np.abs(a))
    return float(np.where(np.isfinite(difference), difference, np.inf).max())


def row_us(call: Callable[[], Any], budget_s: float = 0.1) -> float:
    """The median time of a call in µs, over at most 200 calls or `budget_s`, after one that is not counted."""
    call()
    times: list[float] = []
    end = time.perf_counter() + budget_s
    while len(times) < 200 and (not times or time.perf_counter() < end):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return median(times) * 1e6
