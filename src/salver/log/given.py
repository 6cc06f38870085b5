"""Labels as they were given, for predictions that are there and for those that are still to come."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from salver.log.match import match
from salver.log.news import Arrays, together
from salver.log.part import Part

_FILES = 8  # more are made one


class Said:
    """Labels: arrays `id`, `key`, `ts`, `weight`, `value` and `named` (labels, outputs)."""

    def __init__(self, arrays: Arrays) -> None:
        order = np.argsort(arrays["ts"], kind="stable")
        self.arrays = {name: array[order] for name, array in arrays.items()}
        self.count = len(order)

    def apply(self, part: Part) -> np.ndarray:
        """Label the rows that are meant, the last one winning; which labels found one."""
        arrays = self.arrays
        found = np.zeros(self.count, bool)
        by_id, by_key = match(arrays["id"], part["id"]), match(arrays["key"], part["key"])
        labels, rows = np.concatenate([by_id[0], by_key[0]]), np.concatenate([by_id[1], by_key[1]])
        found[labels] = True
        in_turn = np.argsort(labels)
        labels, rows = labels[in_turn], rows[in_turn]
        for output in range(arrays["value"].shape[1]):
            meant = arrays["named"][labels, output]
            of = labels[meant]
            part.label(rows[meant], output, arrays["value"][of, output], arrays["weight"][of], arrays["ts"][of])
        return found

    def last(self) -> Said:
        """Without those that a later one for the same id or key, and for the same outputs, has taken the place of."""
        arrays = self.arrays
        identity = np.concatenate([arrays["id"], arrays["key"]], axis=1)
        named = np.packbits(arrays["named"], axis=1).astype(np.uint64)
        _, last = np.unique(np.concatenate([identity, named], axis=1)[::-1], axis=0, return_index=True)
        return self.of(np.sort(self.count - 1 - last))

    def of(self, places: np.ndarray) -> Said:
        return Said({name: array[places] for name, array in self.arrays.items()})


class Waiting:
    """Labels for rows that may come: those by key, which are for every row with it, and those whose id is not known yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = sorted(folder.glob("given-*.npz"))

    def apply(self, part: Part) -> None:
        """Label new rows."""
        if self._files:
            self._all().apply(part)

    def keep(self, said: Said, found: np.ndarray) -> None:
        """Keep of these labels what may be for rows that come."""
        kept = said.of(np.flatnonzero(~found | said.arrays["key"].any(axis=1)))
        if not kept.count:
            return
        before = self._files if len(self._files) >= _FILES else []
        if before:
            kept = Said(together([self._all().arrays, kept.arrays]))
        path = self._folder / f"given-{self._next():06}.npz"
        writing = path.with_name(f".{path.name}")
        np.savez(writing, allow_pickle=False, **kept.last().arrays)
        writing.replace(path)
        for file in before:
            file.unlink()
        self._files = [file for file in self._files if file not in before] + [path]

    def _all(self) -> Said:
        read: list[Arrays] = []
        for path in self._files:
            with np.load(path) as arrays:
                read.append({name: arrays[name] for name in arrays.files})
        return Said(together(read))

    def _next(self) -> int:
        return int(self._files[-1].stem.partition("-")[2]) + 1 if self._files else 1
