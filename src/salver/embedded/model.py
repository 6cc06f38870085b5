"""A published model inside an application: no server, no training library, the same answers.

Data goes in as whatever holds it (a row, rows, a DataFrame, an Arrow table, an array); the answer comes back as its
counterpart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from salver.artifact.artifact import open_artifact
from salver.artifact.manifest import FILENAME, Manifest
from salver.artifact.trust import Policy
from salver.config import store_folder
from salver.embedded.follow import Follower
from salver.embedded.journal import Journal
from salver.engine.batch import values_of
from salver.engine.model import Model
from salver.engine.request import Request
from salver.errors import ConfigError, InputError
from salver.registry.registry import Registry
from salver.tables import like, read
from salver.types.reference import Reference
from salver.types.rows import Row, are_finite
from salver.types.signature import Columns, Output, Signature, rows_of

_BESIDE = ("probabilities", "scores")
"""Outputs that are not the prediction itself."""

_POLICY = Policy()


def load(
    reference: str | Path,
    *,
    store: str | Path | None = None,
    follow: bool = False,
    every_s: float = 5.0,
    log: bool | str | Path = False,
    policy: Policy = _POLICY,
) -> LoadedModel:
    """Wake a model in this process: `iris`, `iris@3`, `iris@champion`, or the folder of an artifact.

    With `follow`, the alias is looked up every `every_s` seconds, and a version it moves to takes over once it has answered
    its golden rows. With `log`, predictions are written to the store's log, or to the folder that is given. `policy` says
    which models may run code when they are read. Raises NotFound, StoreError, ArtifactError, Untrusted or ConfigError.
    """
    folder = Path(reference)
    if (folder / FILENAME).is_file():
        if follow:
            raise ConfigError("a folder has no aliases to follow; load a model of the registry by its name")
        awake = Awake(Model(policy.admit(open_artifact(folder))))
        return LoadedModel(awake, _journal(log, store), None)
    registry, wanted = Registry(store), Reference.parse(str(reference))

    def fetch(version: int) -> Awake:
        return Awake(Model(policy.admit(open_artifact(registry.fetch(wanted.name, version))), version))

    awake = fetch(registry.resolve(wanted)[1])
    follower = Follower(lambda: registry.resolve(wanted)[1], fetch, every_s) if follow else None
    return LoadedModel(awake, _journal(log, store), follower)


def _journal(log: bool | str | Path, store: str | Path | None) -> Journal | None:
    if log is False:
        return None
    return Journal(store_folder(None if store is None else str(store)) / "log" if log is True else Path(log))


class Awake:
    """One version, and what is worked out of its signature once."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.version = model.version
        signature = model.signature
        self.check = model.checker.check
        self.check_plain = model.checker.check_plain
        self.is_plain = model.checker.all_plain
        self.main = [output for output in signature.outputs if output.name not in _BESIDE] or list(signature.outputs)
        self.probabilities = signature.output("probabilities")
        self.classes = [str(label) for label in signature.prediction.classes or ()]
        # A list of values is one row, where the model takes several; each value is then a scalar.
        self.is_wide = len(signature.columns) > 1 and not any(column.shape for column in signature.columns)


class LoadedModel:
    """A model in this process. Any number of threads may use it."""

    def __init__(self, awake: Awake, journal: Journal | None, follower: Follower | None) -> None:
        self._awake = awake
        self._journal = journal
        self._follower = follower
        self._lock = threading.Lock()  # a runtime is asked by one thread at a time, and the version may change
        if follower:
            follower.start(awake.version, self._take_over)

    def __repr__(self) -> str:
        return f"<LoadedModel {self.name}@{self.version} {self.manifest.runtime.kind}>"

    def __enter__(self) -> LoadedModel:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def version(self) -> int:
        """The version that answers now."""
        return self._awake.version

    @property
    def manifest(self) -> Manifest:
        return self._awake.model.manifest

    @property
    def signature(self) -> Signature:
        return self._awake.model.signature

    def predict(self, data: Any, *, keys: Sequence[str | None] | str | None = None) -> Any:
        """The predictions for `data`: labels of a classifier, numbers of a regressor.

        A list of values or a dict is one row, and gets a value; a list of rows gets a list, an array an array, a DataFrame a
        Series with its index, an Arrow table an Arrow array. Several outputs make a table of that kind.
        `keys` are the caller's own ids, one a row, by which labels find logged predictions. Raises InputError.
        """
        with self._lock:
            awake = self._awake
            row = _row(awake, data)
            if row is None:
                return self._answer(awake, awake.main, data, keys)
            arrays = self._ask_row(awake, row, keys)
        if len(awake.main) == 1:
            return values_of(awake.main[0], arrays[awake.main[0].name])[0]
        return {output.name: values_of(output, arrays[output.name])[0] for output in awake.main}

    def predict_proba(self, data: Any, *, keys: Sequence[str | None] | str | None = None) -> Any:
        """The probability of each class, in the order of the classes, in the shapes that `predict` gives.

        A dict gets a dict by class, a DataFrame or an Arrow table gets a column a class. Raises InputError.
        """
        with self._lock:
            awake = self._awake
            output = awake.probabilities
            if output is None:
                raise InputError(f"model '{self.name}' gives no probabilities", code="no_probabilities")
            row = _row(awake, data)
            if row is None:
                return self._answer(awake, [output], data, keys, awake.classes)
            values = self._ask_row(awake, row, keys)[output.name][0].tolist()
        return dict(zip(awake.classes, values, strict=True)) if isinstance(data, dict) else values

    def close(self) -> None:
        """Stop following, write out the log, give the model back."""
        if self._follower:
            self._follower.stop()
        with self._lock:
            if self._journal:
                self._journal.close()
            self._awake.model.close()

    def _answer(self, awake: Awake, outputs: list[Output], data: Any, keys: Any, classes: list[str] | None = None) -> Any:
        arrays = self._ask(awake, self._requested(awake, data, keys))
        made: Columns = {}
        for output in outputs:
            values = arrays[output.name]
            if classes and values.ndim == 2 and not isinstance(data, np.ndarray):
                made.update({name: values[:, i] for i, name in enumerate(classes)})
            else:
                made[output.name] = _labelled(output, values)
        return like(data, made)

    def _requested(self, awake: Awake, data: Any, keys: Any) -> Request:
        if isinstance(data, list) and data:
            rows = cast("list[Any]", data)
            try:
                return _request([awake.check(row, i) for i, row in enumerate(rows)], keys)
            except InputError:
                pass  # numpy's own scalars, say: the reader of tables knows them, or says what is wrong
        columns = awake.model.checker.check_columns(read(data, awake.model.signature))
        return _request(None, keys, columns)

    def _ask_row(self, awake: Awake, row: Row, keys: Any) -> Columns:
        if self._journal is None and keys is None:
            return awake.model.predict_rows([row])
        return self._ask(awake, _request([row], keys))

    def _ask(self, awake: Awake, request: Request) -> Columns:
        if self._journal is None:
            return awake.model.predict([request])
        started_ns = time.perf_counter_ns()
        arrays = awake.model.predict([request])
        self._journal.write(awake.model, request, arrays, started_ns)
        return arrays

    def _take_over(self, awake: Awake) -> None:
        with self._lock:
            before, self._awake = self._awake, awake
            before.model.close()


def _row(awake: Awake, data: Any) -> Row | None:
    """The checked row that `data` is, when it is one; else None."""
    if isinstance(data, dict):
        named = cast("dict[str, Any]", data)
        if not any(isinstance(value, list | tuple | np.ndarray) for value in named.values()):
            return awake.check(named)
    elif isinstance(data, list) and awake.is_wide:
        listed = cast("list[Any]", data)
        if awake.is_plain and are_finite(listed):
            return awake.check_plain(listed)
        if listed and type(listed[0]) in (float, int, str, bool, type(None)):
            return awake.check(listed)
    return None


def _request(rows: list[Row] | None, keys: Any, columns: Columns | None = None) -> Request:
    count = rows_of(columns) if columns is not None else len(rows or ())
    return Request(
        rows=rows,
        columns=columns,
        count=count,
        size_bytes=0,
        arrived_ns=time.perf_counter_ns(),
        source="embedded",
        keys=_listed(keys, count),
    )


def _listed(keys: Any, count: int) -> list[str | None] | None:
    if keys is None:
        return None
    listed: list[str | None] = [keys] if isinstance(keys, str) else list(keys)
    if len(listed) != count:
        raise InputError(f"{len(listed)} keys for {count} rows; give one a row, or none", code="wrong_shape")
    return listed


def _labelled(output: Output, values: NDArray[Any]) -> NDArray[Any]:
    """An output's array with its classes in place of indices into them."""
    if output.classes is None:
        return values
    if output.is_multilabel:
        columns = [np.array(classes)[values[:, k]] for k, classes in enumerate(cast("tuple[Any, ...]", output.classes))]
        return np.stack(columns, axis=1)
    return np.array(output.classes)[values]
