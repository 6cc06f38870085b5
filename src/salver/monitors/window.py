"""What a stretch of time held, as whole numbers over the cells of a reference. Windows add up: in any order, by any number
of processes, to the same digits."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from functools import reduce
from operator import add
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from salver.monitors.bins import Coded, Counts, NumberBins, spelled
from salver.monitors.profile import Profile

Array = NDArray[Any] | Coded
"""A column: of numbers, of objects, or of places into a few values."""

FLAGS = ("missing", "unseen", "type", "out_of_range")


class Window:
    """Rows of one model version, by one route, from `start_us` to `end_us` (µs since 1970, the end not included).

    `counts` are by column and cell (inputs "in:age", outputs "out:prediction"); `sure` are by predicted class and probability
    (`Calibration`), or by the size of the prediction (`Errors`). `low` and `high` are the finite range of each number column.
    `flagged` is by column and flag. Where the log holds a sample, counts are of what the rows stand for: `weight` is their
    sum, `squares` that of the squared weights, both equal to `rows` where it holds all. `counted` is how many of the `rows`
    were looked into.
    """

    def __init__(self, start_us: int = 0, end_us: int = 0) -> None:
        self.start_us = start_us
        self.end_us = end_us
        self.rows = 0
        self.counted = 0
        self.weight = 0
        self.squares = 0
        self.duplicates = 0
        self.counts: dict[str, Counts] = {}
        self.sure: Counts | None = None
        self.low: dict[str, float] = {}
        self.high: dict[str, float] = {}
        self.flagged: dict[str, dict[str, int]] = {}
        self.last_us = 0  # the time of the last row

    def __repr__(self) -> str:
        return f"<Window {self.rows} rows from {self.start_us} to {self.end_us}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Window) and self.to_bytes() == other.to_bytes()

    __hash__ = None  # type: ignore[assignment]

    @property
    def design_effect(self) -> float:
        """How many times more a sum of these weights varies than one of as many rows (Kish)."""
        return self.squares / self.weight if self.weight else 1.0

    def __add__(self, other: Window) -> Window:
        """Both together. Raises ValueError for windows over other cells."""
        if not self.rows and not self.counts:
            return other
        made = Window(min(self.start_us, other.start_us), max(self.end_us, other.end_us))
        for name in ("rows", "counted", "weight", "squares", "duplicates"):
            setattr(made, name, getattr(self, name) + getattr(other, name))
        made.counts = {**self.counts, **other.counts}
        for name in self.counts.keys() & other.counts.keys():
            made.counts[name] = self.counts[name] + other.counts[name]
        both = self.sure is not None and other.sure is not None
        made.sure = self.sure + other.sure if both else self.sure if other.sure is None else other.sure  # type: ignore[operator]
        made.low = _joined(self.low, other.low, min)
        made.high = _joined(self.high, other.high, max)
        made.last_us = max(self.last_us, other.last_us)
        made.flagged = {
            name: {
                flag: self.flagged.get(name, {}).get(flag, 0) + other.flagged.get(name, {}).get(flag, 0)
                for flag in sorted({*self.flagged.get(name, {}), *other.flagged.get(name, {})})
            }
            for name in sorted({*self.flagged, *other.flagged})
        }
        return made

    def to_bytes(self) -> bytes:
        """The same bytes for the same window, whatever it was added up from."""
        return zlib.compress(msgspec.msgpack.encode(self._plain(), order="sorted"), 1)

    @staticmethod
    def from_bytes(data: bytes) -> Window:
        plain: dict[str, Any] = msgspec.msgpack.decode(zlib.decompress(data))
        made = Window()
        made.__dict__.update(plain)
        made.counts = {name: np.array(counts, dtype=np.int64) for name, counts in plain["counts"].items()}
        made.sure = None if plain["sure"] is None else np.array(plain["sure"], dtype=np.int64)
        return made

    def _plain(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "counts": {name: counts.tolist() for name, counts in self.counts.items()},
            "sure": None if self.sure is None else self.sure.tolist(),
        }


def together(windows: Iterable[Window]) -> Window:
    """The sum of windows; an empty one of none."""
    return reduce(add, windows, Window())


def window_of(
    profile: Profile,
    columns: Mapping[str, Array],
    outputs: Mapping[str, Array],
    *,
    weights: Counts | None = None,
    duplicates: int = 0,
) -> Window:
    """The window of rows: inputs, and outputs as `profile.split` has them, objects or floats; a column that is not there
    counts as nothing. `weights` are whole numbers."""
    lengths = [len(array) for array in (*columns.values(), *outputs.values())]
    made = Window()
    made.rows = made.counted = lengths[0] if lengths else 0
    made.weight = made.rows if weights is None else int(weights.sum())
    made.squares = made.rows if weights is None else int((weights * weights).sum())
    made.duplicates = duplicates
    for of, arrays, known in (("in", columns, profile.columns), ("out", outputs, profile.outputs)):
        for name, reference in known.items():
            if name in arrays:
                note(made, f"{of}:{name}", reference.bins, arrays[name], weights)
    made.sure = _sure(profile, outputs, weights)
    return made


def note(window: Window, name: str, bins: Any, array: Array, weights: Counts | None = None) -> None:
    """Count a column into a window."""
    if not isinstance(bins, NumberBins):
        window.counts[name] = bins.count(array, weights)
        return
    numbers = numbers_of(array)
    window.counts[name] = bins.count(numbers, weights)
    finite = numbers if window.counts[name][:2].sum() == 0 else numbers[np.isfinite(numbers)]
    if len(finite):
        window.low[name], window.high[name] = float(finite.min()), float(finite.max())


def numbers_of(array: Array) -> NDArray[np.float64]:
    """Values of any kind as numbers; what is none is missing."""
    if isinstance(array, np.ndarray) and array.dtype.kind in "fiub":
        return array.astype(np.float64, copy=False)
    return np.array([_number(value) for value in array.tolist()], dtype=np.float64)


def _sure(profile: Profile, outputs: Mapping[str, Array], weights: Counts | None) -> Counts | None:
    prediction = outputs.get("prediction")
    if prediction is None:
        return None
    if profile.errors is not None:
        return profile.errors.bins.count(numbers_of(prediction), weights)
    if profile.calibration is None:
        return None
    names = profile.calibration.classes
    given = [outputs.get(f"probabilities:{name}") for name in names]
    if any(one is None for one in given):
        return None
    places = {name: k for k, name in enumerate(names)}
    if isinstance(prediction, Coded):
        of_value = np.array([places.get(spelled(value), -1) for value in prediction.values], dtype=np.int64)
        predicted = of_value[prediction.places]
    else:
        predicted = np.array([places.get(spelled(value), -1) for value in prediction.tolist()], dtype=np.int64)
    own = np.zeros(len(predicted))
    for k, one in enumerate(given):
        assert one is not None
        own[predicted == k] = numbers_of(one)[predicted == k]
    return profile.calibration.count(predicted, own, weights)


def _joined(one: Mapping[str, float], other: Mapping[str, float], choose: Any) -> dict[str, float]:
    made = {**one, **other}
    for name in one.keys() & other.keys():
        made[name] = choose(one[name], other[name])
    return made


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan
