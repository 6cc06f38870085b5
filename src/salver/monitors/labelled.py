"""Labelled rows of windows beside what was expected of the very same rows. What is beyond chance is concept drift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from salver.log.joined import Joined
from salver.monitors.estimate import Estimate, Z, mean, wilson
from salver.monitors.profile import Profile
from salver.monitors.rows import Rows
from salver.monitors.significance import normal_two_sided
from salver.monitors.store import Track

_FEWEST = 30  # labelled rows of a window, below which nothing is said


class Labelled(msgspec.Struct):
    """`realised` accuracy (of a regressor: the mean absolute error) of the labelled rows, what was `expected` of them, how much
    `worse` it is (of an error: in parts of it), and the one-sided `p`."""

    rows: int
    realised: Estimate
    expected: float
    worse: Estimate
    p: float


def labelled(
    found: Joined, profile: Profile, track: Track, classes: Sequence[Any], bounds: NDArray[np.int64]
) -> list[Labelled | None]:
    """For each window (its start and end in µs), out of the joined predictions; `classes` are the model's own."""
    rows = Rows(found, int(bounds[0, 0]), int(bounds[-1, 1]), track.version)
    ts = rows.column("ts")
    if not len(ts) or track.route not in found.routes or found.values.outputs > 1:
        return [None] * len(bounds)
    kept = np.flatnonzero((rows.column("route") == found.routes.index(track.route)) & ~np.isnan(rows.column("label")[:, 0]))
    kept = kept[np.argsort(ts[kept], kind="stable")]
    first, last = (np.searchsorted(ts[kept], bounds[:, k]) for k in (0, 1))
    answers, labels = (rows.column(name)[kept, 0] for name in ("prediction", "label"))
    if profile.calibration is None:
        sure = answers
    else:
        shares = rows.probabilities(len(classes))
        if shares is None:
            return [None] * len(bounds)
        answers, labels = (found.values.places(one, classes) for one in (answers, labels))
        sure = shares[np.maximum(answers, 0), kept]
    return [_of(profile, answers[a:b], sure[a:b], labels[a:b]) for a, b in zip(first, last, strict=True)]


def _of(profile: Profile, predicted: NDArray[Any], sure: NDArray[Any], labels: NDArray[Any]) -> Labelled | None:
    usable = np.isfinite(sure) & ((predicted >= 0) & (labels >= 0) if profile.calibration else np.isfinite(labels))
    predicted, sure, labels = predicted[usable], sure[usable], labels[usable]
    if len(labels) < _FEWEST:
        return None
    if profile.calibration is not None:
        right = predicted == labels
        counts, hits = (profile.calibration.count(predicted[at], sure[at]) for at in (slice(None), right))
        difference, z = profile.calibration.surprise(counts, hits)
        realised, unit, sign = wilson(float(right.mean()), len(right)), 1.0, -1.0
    else:
        assert profile.errors is not None
        error = np.abs(predicted - labels)
        realised = mean(error, np.ones(len(error)), low=0.0)
        difference, z = profile.errors.surprise(profile.errors.bins.count(predicted), realised.value)
        unit, sign = max(realised.value - difference, 1e-300), 1.0
    worse = sign * difference / unit
    reach = abs(worse / z) * Z if z else 0.0
    p = normal_two_sided(z) / 2 if worse > 0 else 1.0
    return Labelled(len(labels), realised, realised.value - difference, Estimate(worse, worse - reach, worse + reach), p)
