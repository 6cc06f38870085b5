"""Rows in, rows with predictions out, by one version of a model. Knows nothing of files, parts or threads.

What fails together is asked again in halves, until the bad rows stand alone: a bad row spoils nothing but itself.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from salver.batch import arrow
from salver.batch.fit import Fitter, Wrong
from salver.batch.ids import ids
from salver.batch.outputs import columns_of
from salver.batch.reading import Chunk
from salver.engine.batch import Batch, values_of
from salver.engine.model import Model
from salver.engine.recorder import Recorder
from salver.engine.request import Request
from salver.errors import ConfigError, PredictionFailed, SalverError, Unavailable
from salver.types.ranges import Flagger
from salver.types.signature import Columns, concatenate, rows_of

SOURCE = "batch"
ASK_ROWS = 8192
_TRIES = 3


class BadRow(NamedTuple):
    """A row that gets no prediction: its number in the file, and why."""

    row: int
    code: str
    reason: str
    values: dict[str, Any] | None


class Scored(NamedTuple):
    """What came of a chunk. `lines` are for the log, where it does not read the output itself."""

    table: arrow.Table
    bad: list[BadRow]
    lines: bytes


class Scorer:
    """Scores chunks with a model that is awake. Used by one thread at a time."""

    def __init__(
        self,
        model: Model,
        *,
        seed: int,
        keep: tuple[str, ...] | None = None,
        columns: tuple[str, ...] = (),
        key: str | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        """`keep` are the input's columns that stay beside the predictions (None: all), `columns` those that the model takes,
        in its order (none: by name), `key` the one with the caller's own key, `recorder` writes the lines of the log."""
        self._model = model
        self._seed = seed
        self._keep = keep
        self._key = key
        self._recorder = recorder
        self._fitter = Fitter(model.checker, columns)
        self._flagger = Flagger(model.signature)

    def __repr__(self) -> str:
        return f"<Scorer {self._model!r}>"

    def __call__(self, chunk: Chunk, file: int, texts: frozenset[str] = frozenset()) -> Scored:
        """In the columns `texts` nothing has a type yet. Raises InputError when the table does not fit at all."""
        bound, count = self._fitter.bind(chunk, texts), len(chunk.numbers)
        wrong = self._fitter.wrong(bound, count)
        good = _others(count, wrong)
        checked = self._fitter.fitted(bound, good if wrong else slice(0, count))
        arrays = self._answered(checked, good, wrong)
        bad = [BadRow(one.row, "invalid_row", one.reason, None) for one in chunk.torn]
        if wrong:
            bad += [_bad(chunk, at, error) for at, error in wrong.items()]
            good = _others(count, wrong)
            checked = self._fitter.fitted(bound, good)
            chunk = Chunk(chunk.table.take(good), [chunk.numbers[at] for at in good.tolist()], (), chunk.rows)
        made = ids(self._seed, file, chunk.numbers)
        table = self._table(chunk, checked, arrays, made, texts)
        return Scored(table, sorted(bad, key=lambda one: one.row), self._lines(chunk, checked, arrays, made))

    def _answered(self, checked: Columns, rows: NDArray[np.int64], wrong: Wrong) -> Columns:
        """The outputs, asked for a few thousand rows at a time: some graphs need many times the memory of their input."""
        starts = range(0, max(len(rows), 1), ASK_ROWS)
        return _whole([self._ask(_part(checked, part := slice(at, at + ASK_ROWS)), rows[part], wrong) for at in starts])

    def _ask(self, checked: Columns, rows: NDArray[np.int64], wrong: Wrong) -> Columns:
        """The model's outputs; rows on which it raises are noted and have none."""
        try:
            return self._predict(checked, len(rows))
        except Exception as error:
            if not len(rows):
                raise
            if len(rows) == 1:
                wrong[int(rows[0])] = _blamed(error)
                return self._predict(_part(checked, slice(0, 0)), 0)
        middle = len(rows) // 2
        halves = (slice(0, middle), slice(middle, len(rows)))
        parts = [self._ask(_part(checked, half), rows[half], wrong) for half in halves]
        return _whole(parts)

    def _predict(self, checked: Columns, count: int) -> Columns:
        tries = 0
        while True:
            try:
                return self._model.predict([_request(checked, count, None)])
            except Unavailable as error:  # its process ended, and another is being started
                tries += 1
                if tries == _TRIES:
                    raise
                time.sleep(error.retry_after_s)

    def _table(self, chunk: Chunk, checked: Columns, arrays: Columns, made: NDArray[Any], texts: frozenset[str]) -> arrow.Table:
        import pyarrow

        count = len(made)
        answers: dict[str, Any] = columns_of(self._model.signature, arrays)
        flags = self._flagger.of_columns(checked) if self._flagger else {}
        noted = [msgspec.json.encode(flags[at]).decode() if at in flags else None for at in range(count)] if flags else []
        answers["flags"] = pyarrow.array(noted, pyarrow.string()) if noted else pyarrow.nulls(count, pyarrow.string())
        answers["version"] = pyarrow.repeat(pyarrow.scalar(self._model.version, pyarrow.int32()), count)
        columns: dict[str, Any] = {"id": pyarrow.array(made).cast(pyarrow.string())}
        read_as = {source: name for name, source in self._fitter.sources(chunk).items()}
        for name in self._kept(chunk.table.column_names):
            values = chunk.table.column(name)
            if name in read_as and (name in texts or chunk.rows is not None):
                values = pyarrow.array(checked[read_as[name]], from_pandas=True)
            columns[f"input_{name}" if name in answers or name in columns else name] = values
        return pyarrow.table({**columns, **answers})

    def _kept(self, names: list[str]) -> list[str]:
        if self._keep is None:
            return names
        wanted = {*self._keep, *([self._key] if self._key else [])}
        if missing := sorted(wanted - set(names)):
            raise ConfigError(f"the input has no column '{missing[0]}'; it has {', '.join(names)}")
        return [name for name in names if name in wanted]

    def _lines(self, chunk: Chunk, checked: Columns, arrays: Columns, made: NDArray[Any]) -> bytes:
        if self._recorder is None or not len(made):
            return b""
        outputs = {output.name: values_of(output, arrays[output.name]) for output in self._model.signature.outputs}
        keys = None
        if self._key is not None:
            import pyarrow

            keys = chunk.table.column(self._key).cast(pyarrow.string()).to_pylist()
        request = _request(checked, len(made), keys)
        return self._recorder.lines(Batch([request], arrays, outputs, made.astype(str).tolist(), request.arrived_ns))


def _others(count: int, wrong: Wrong) -> NDArray[np.int64]:
    """The rows with which nothing is wrong."""
    return np.delete(np.arange(count), sorted(wrong)) if wrong else np.arange(count)


def _whole(parts: list[Columns]) -> Columns:
    """The rows of all parts; those without any do not say what the others are."""
    return concatenate([part for part in parts if rows_of(part)] or parts[:1])


def _part(columns: Columns, rows: slice) -> Columns:
    return {name: array[rows] for name, array in columns.items()}


def _request(checked: Columns, count: int, keys: list[str | None] | None) -> Request:
    now = time.perf_counter_ns()
    return Request(columns=checked, count=count, size_bytes=0, arrived_ns=now, source=SOURCE, keys=keys)


def _bad(chunk: Chunk, at: int, error: SalverError) -> BadRow:
    values = chunk.rows[at] if chunk.rows is not None else chunk.table.slice(at, 1).to_pylist()[0]
    # "row 17, column 'age': …": the number is that of a row in this chunk, and the side file has the right one.
    reason = error.message.partition(", ")[2] if error.message.startswith("row ") else error.message
    return BadRow(chunk.numbers[at], error.code, reason or error.message, values)


def _blamed(error: Exception) -> SalverError:
    if isinstance(error, SalverError):
        return error
    return PredictionFailed(f"the model raised {type(error).__name__} on this row")
