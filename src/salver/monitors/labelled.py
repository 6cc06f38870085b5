"""Labelled rows of windows beside what was expected of the very same rows. What is beyond chance is concept drift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from salver.log.joined import Joined
from salver.monitors.calibration import Calibration, Errors
from salver.monitors.estimate import Estimate, Z, mean, wilson
from salver.monitors.profile import Profile
from salver.monitors.rows import Rows
from salver.monitors.significance import normal_two_sided
from salver.monitors.store import Track

_FEWEST = 30  # labelled rows of a window, below which nothing is said
RECENT = 20_000
"""The most rows that calibration is refitted by: what is older says less of now."""


class Labelled(msgspec.Struct):
    """`realised` accuracy (of a regressor: the mean absolute error) of the labelled rows, what was `expected` of them, how much
    `worse` it is (of an error: in parts of it), and the one-sided `p`."""

    rows: int
    realised: Estimate
    expected: float
    worse: Estimate
    p: float


class Known(NamedTuple):
    """Rows whose label is known, in order of time; `told` is when it came, `sure` the probability of the answer (of a
    regressor: the answer)."""

    ts: NDArray[np.int64]
    told: NDArray[np.int64]
    predicted: NDArray[Any]
    sure: NDArray[Any]
    labels: NDArray[Any]

    def at(self, rows: slice | NDArray[np.int64]) -> Known:
        return Known(*(part[rows] for part in self))


def known(found: Joined, profile: Profile, track: Track, classes: Sequence[Any], since_us: int, until_us: int) -> Known | None:
    """Of the joined predictions between two times; None where nothing can be held against anything. `classes` are the
    model's own."""
    rows = Rows(found, since_us, until_us, track.version)
    ts = rows.column("ts")
    if not len(ts) or track.route not in found.routes or found.values.outputs > 1:
        return None
    kept = np.flatnonzero((rows.column("route") == found.routes.index(track.route)) & ~np.isnan(rows.column("label")[:, 0]))
    kept = kept[np.argsort(ts[kept], kind="stable")]
    answers, labels, told = (rows.column(name)[kept, 0] for name in ("prediction", "label", "label_ts"))
    if profile.calibration is None:
        return _usable(Known(ts[kept], told, answers, answers, labels), np.isfinite(labels))
    shares = rows.probabilities(len(classes))
    if shares is None:
        return None
    answers, labels = (found.values.places(one, classes) for one in (answers, labels))
    made = Known(ts[kept], told, answers, shares[np.maximum(answers, 0), kept], labels)
    return _usable(made, (answers >= 0) & (labels >= 0))


def _usable(rows: Known, usable: NDArray[np.bool_]) -> Known:
    return rows.at(np.flatnonzero(usable & np.isfinite(rows.sure)))


def labelled(rows: Known, profile: Profile, bounds: NDArray[np.int64]) -> list[Labelled | None]:
    """For each window (its start and end in µs), what its labels say; None where they are too few."""
    first, last = (np.searchsorted(rows.ts, bounds[:, k]) for k in (0, 1))
    return [_of(profile, rows.at(slice(a, b))) for a, b in zip(first, last, strict=True)]


def refitted(rows: Known, of: Calibration | Errors, bounds: NDArray[np.int64]) -> list[Calibration | Errors | None]:
    """For each window, what the last rows before it make of the calibration, by labels that were there when it ended; None
    where these are too few."""
    made: list[Calibration | Errors | None] = []
    for start, end in bounds.tolist():
        last = rows.at(np.flatnonzero((rows.ts < start) & (rows.told <= end))[-RECENT:])
        if len(last.ts) < _FEWEST:
            made.append(None)
        elif isinstance(of, Calibration):
            made.append(of.refitted(last.predicted, last.sure, last.predicted == last.labels))
        else:
            made.append(of.refitted(last.predicted, last.predicted - last.labels))
    return made


def _of(profile: Profile, rows: Known) -> Labelled | None:
    predicted, sure, labels = rows.predicted, rows.sure, rows.labels
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
