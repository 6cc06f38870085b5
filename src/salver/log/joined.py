"""Predictions joined with their labels, one row a prediction, kept beside the log and brought up to date with what is new.

`joined/MODEL/` holds nothing that the log does not: it can be removed at any time and is then made again. What was erased from
the log, or has become too old for it, is a reason to make it again too. Rows lie in parts, each a folder of arrays; what is
known of a label is written over, all else stays as it is. `state.json` says what counts, and is replaced in one instant.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from salver.errors import ConfigError
from salver.log.commit import snapshot
from salver.log.given import Said, Waiting
from salver.log.locks import held
from salver.log.news import Arrays, labels, news, predictions, together
from salver.log.part import Part
from salver.log.table import LABELLED, PREDICTIONS, Table
from salver.log.values import NotNumbers, Values

FOLDER = "joined"
STATE = "state.json"
PART_ROWS = 2**21
_TRIES = 5


class State(msgspec.Struct):
    """What counts of a model's folder. `sources` says how far each file of the log was read."""

    epochs: dict[str, int] = {}
    sources: dict[str, int] = {}
    values: Values = msgspec.field(default_factory=Values)
    routes: list[str] = []
    parts: list[str] = []
    made: int = 0  # names given so far


class Joined:
    """The predictions of a model with the labels that are in force, as it was when it was opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.state = msgspec.json.decode((folder / STATE).read_bytes(), type=State)
        except FileNotFoundError:
            self.state = State()
        self.parts = [Part(folder / name) for name in self.state.parts]

    @property
    def values(self) -> Values:
        """How predictions and labels are written as numbers."""
        return self.state.values

    @property
    def routes(self) -> list[str]:
        return self.state.routes

    def labels_of(self, ids: NDArray[np.uint64]) -> list[Any]:
        """The labels of predictions: a value, or a list of several; None where there is none, as a whole or in a list."""
        found: list[Any] = [None] * len(ids)
        for part in self.parts:
            asked, rows = part.rows_of(ids)
            for at, label in zip(asked.tolist(), part["label"][rows], strict=True):
                told = [None if math.isnan(one) else self.values.told(one) for one in label.tolist()]
                found[at] = told[0] if len(told) == 1 else told if any(one is not None for one in told) else None
        return found

    def refresh(self, log: Path, model: str, output: str) -> None:
        """Read what is new. Raises NotNumbers when all is to be read again, FileNotFoundError when a file became cold."""
        now = {kind.name: snapshot(Table(log, kind)) for kind in (PREDICTIONS, LABELLED)}
        epochs = {name: of.commit.epoch for name, of in now.items()}
        if self.state.epochs != epochs:
            self.begin(epochs, self.values.coded)
        state = self.state
        fresh = news(now["predictions"], state.sources)
        said = news(now["labels"], state.sources)
        waiting = Waiting(self.folder)
        if fresh.sizes:
            for arrays in predictions(fresh, model, output):
                self._add(arrays, waiting)
        if said.sizes and self.parts:
            for arrays in labels(said, model):
                self._say(arrays, waiting)
            state.sources |= said.sizes
        if fresh.sizes or said.sizes:
            state.sources |= fresh.sizes
            self._save()

    def begin(self, epochs: dict[str, int], coded: bool) -> None:
        """Forget all rows. With `coded`, values are places in a list from now on."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.state, self.parts = State(epochs=epochs, values=Values(coded=coded)), []
        self._write()

    def _add(self, arrays: Arrays, waiting: Waiting) -> None:
        """Rows that may be there already, since lines are read once more when they have become Parquet."""
        state = self.state
        known = np.zeros(len(arrays["ts"]), bool)
        for part in self.parts:
            known[part.rows_of(arrays["id"])[0]] = True
        arrays = {name: array[~known] for name, array in arrays.items()}
        if not len(arrays["ts"]):
            return
        different, places = np.unique(arrays["route"], return_inverse=True)
        state.routes += [one for one in different.tolist() if one not in state.routes]
        arrays["route"] = np.array([state.routes.index(one) for one in different.tolist()], np.int32)[places]
        arrays["prediction"], _ = state.values.read(arrays.pop("value"))
        part = Part.of(self._name(), arrays)
        waiting.apply(part)
        self.parts.append(part)
        while len(self.parts) > 1 and self._are_to_merge(*self.parts[-2:]):
            first, second = self.parts.pop(-2), self.parts.pop()
            self.parts.append(Part.of(self._name(), together([first.all(), second.all()])))

    def _are_to_merge(self, first: Part, second: Part) -> bool:
        """So that there are few parts however many runs there were, and each row is copied a few times only."""
        return first.count <= 2 * second.count and first.count + second.count <= PART_ROWS

    def _say(self, arrays: Arrays, waiting: Waiting) -> None:
        arrays["value"], arrays["named"] = self.state.values.read(arrays["value"])
        said = Said(arrays)
        found = np.zeros(said.count, bool)
        for part in self.parts:
            found |= said.apply(part)
        waiting.keep(said, found)

    def _name(self) -> Path:
        self.state.made += 1
        return self.folder / f"{self.state.made:06}"

    def _write(self) -> None:
        writing = self.folder / f".{STATE}"
        writing.write_bytes(msgspec.json.encode(self.state))
        writing.replace(self.folder / STATE)

    def _save(self) -> None:
        """New files first, then the state that names them, then what it names no more."""
        for part in self.parts:
            part.save()
        self.state.parts = [part.folder.name for part in self.parts]
        self._write()
        for path in self.folder.iterdir():
            if path.is_dir() and path.name not in self.state.parts:
                shutil.rmtree(path)


@contextmanager
def joined(log: Path, model: str, output: str = "prediction") -> Generator[Joined]:
    """A model's predictions with their labels, up to date. `output` is the one that labels are of. Raises ConfigError.

    One process at a time brings them up to date and reads them.
    """
    folder = log / FOLDER / model
    with held(log / FOLDER / f".{model}.lock", wait=True):
        yield _refreshed(folder, log, model, output)


def _refreshed(folder: Path, log: Path, model: str, output: str) -> Joined:
    for tried in range(_TRIES):
        found = Joined(folder)
        try:
            found.refresh(log, model, output)
        except NotNumbers:
            found.begin({}, coded=True)
        except OSError as error:
            if tried == _TRIES - 1:
                raise ConfigError(f"the log can't be read: {error}") from error
        else:
            return found
    raise ConfigError(f"the log changes faster than it can be read: {log}")


def forget(log: Path) -> None:
    """Remove what was joined. It is made again when it is asked for."""
    for path in (log / FOLDER).glob("[!.]*"):
        with held(log / FOLDER / f".{path.name}.lock", wait=True):
            shutil.rmtree(path)
