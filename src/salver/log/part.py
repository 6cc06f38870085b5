"""Some of a model's joined predictions, as arrays: in memory when they are new, mapped from files when they are not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from salver.log.match import Places, match
from salver.log.news import Arrays

_FIXED = ("id", "key", "ts", "version", "route", "weight", "prediction", "probabilities", "order")
_LABEL = ("label", "label_weight", "label_ts")
_RANKED = 16  # columns of probabilities that are kept in order


class Part:
    """Arrays by name, a row a prediction.

    `id`, `key` (rows, 2): see `salver.log.news`. `ts` in µs, `version`, `route` (its place in the state), `weight`.
    `prediction` (rows, outputs) as `salver.log.values` has it, `probabilities` (classes, rows), and `order` (classes, rows),
    the rows by each class's probability: with two classes, by the second's only. `label`, `label_weight` and `label_ts`
    (rows, outputs); a label is NaN where there is none.
    """

    def __init__(self, folder: Path, arrays: Arrays | None = None) -> None:
        self.folder = folder
        self._arrays: Arrays = arrays or {}
        self._saved = arrays is None
        self._relabelled = False

    @classmethod
    def of(cls, folder: Path, arrays: Arrays) -> Part:
        """A new part of rows; `probabilities` are (rows, classes) here."""
        shares = np.ascontiguousarray(arrays["probabilities"].T)
        ranked = shares[1:] if len(shares) == 2 else shares[:_RANKED]
        made = {**arrays, "probabilities": shares, "order": np.argsort(ranked, axis=1).astype(np.int32)}
        if "label" not in made:
            shape = made["prediction"].shape
            made["label"] = np.full(shape, np.nan)
            made["label_weight"] = np.ones(shape)
            made["label_ts"] = np.zeros(shape, np.int64)
        return cls(folder, made)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._arrays:
            self._arrays[name] = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return self._arrays[name]

    @property
    def count(self) -> int:
        return len(self["ts"])

    def all(self) -> Arrays:
        """Every array, as `of` takes them."""
        made = {name: self[name] for name in (*_FIXED, *_LABEL) if name != "order"}
        return {**made, "probabilities": made["probabilities"].T}

    def rows_of(self, ids: np.ndarray) -> tuple[Places, Places]:
        """Which of `ids` are here, and in which rows."""
        return match(ids, self["id"])

    def label(self, rows: Places, output: int, values: np.ndarray, weights: np.ndarray, ts: np.ndarray) -> None:
        """Give rows a label; of those for the same row the last stays, and one that is older than the row's does not."""
        if not self._relabelled:
            for name in _LABEL:  # changed in memory, never in a file that somebody may be reading
                self._arrays[name] = np.array(self[name])
            self._relabelled = True
        newer = ts >= self["label_ts"][rows, output]
        rows = rows[newer]
        self["label"][rows, output] = values[newer]
        self["label_weight"][rows, output] = weights[newer]
        self["label_ts"][rows, output] = ts[newer]

    def save(self) -> None:
        """Bring the folder up to date."""
        if not self._saved:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
        for name in (*(() if self._saved else _FIXED), *(_LABEL if self._relabelled or not self._saved else ())):
            writing = self.folder / f".{name}.npy"
            np.save(writing, self[name])
            writing.replace(self.folder / f"{name}.npy")
        self._saved, self._relabelled = True, False
