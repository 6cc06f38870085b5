"""Publishing is compiling: a trained model → the fastest proven way to serve it, written as an artifact's files.

Each way is tried in turn on the same proof rows; the fastest of those that agree with the original wins, and what was tried
is recorded with its evidence. When none agrees, the model is served by its own framework.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from salver.artifact.manifest import Attempt, Golden, Lowering, RuntimeSpec
from salver.errors import LoweringError
from salver.frameworks.base import Trained
from salver.lower import ways
from salver.lower.proof import prove, row_us
from salver.lower.rows import ROWS, Landmarks, find_landmarks, proof_rows
from salver.runtimes.base import Runtime, load
from salver.types.rows import RowChecker
from salver.types.signature import Columns, Signature, rows_of, take

ORIGINAL_BUDGET_S = 20.0
"""How long the original may take over the proof rows; a slower model is proven on fewer, and their number is recorded."""
_GOLDEN_ROWS = 8


class Lowered:
    """What `lower` found: how to serve the model, how that was proven, and golden rows."""

    def __init__(self, spec: RuntimeSpec, lowering: Lowering, golden: Golden) -> None:
        self.spec = spec
        self.lowering = lowering
        self.golden = golden


def lower(trained: Trained, folder: Path, original: RuntimeSpec) -> Lowered:
    """Try each way of lowering `trained` into `folder` and keep the fastest proven one; `original` is used if none is.

    Files of ways that were not chosen are removed.
    """
    rows = _affordable_rows(trained)
    expected = trained.predict(rows)
    one = take(rows, slice(0, 1))
    original_us = row_us(lambda: trained.answer(one), budget_s=0.2)
    attempts: list[Attempt] = []
    specs: dict[str, RuntimeSpec] = {}
    for by, write in ways.WAYS.items():
        try:
            specs[by] = write(trained, folder)
        except LoweringError as error:
            if error.message:
                attempts.append(Attempt(by, False, error.message))
            continue
        attempts.append(_attempt(by, specs[by], trained, folder, rows, expected))
    proven = [attempt for attempt in attempts if attempt.proven]
    chosen = min(proven, key=lambda attempt: attempt.row_us).by if proven else ""
    for by, spec in specs.items():
        if by != chosen:
            (folder / spec.file).unlink(missing_ok=True)
    spec = specs[chosen] if chosen else original
    golden = golden_rows(trained, rows)
    return Lowered(spec, Lowering(chosen, original_us, tuple(attempts)), golden)


def _affordable_rows(trained: Trained) -> Columns:
    rows = proof_rows(trained.model, trained.signature)
    few = min(64, rows_of(rows))
    trained.predict(take(rows, slice(0, few)))
    start = time.perf_counter()
    trained.predict(take(rows, slice(0, few)))
    row_s = (time.perf_counter() - start) / few
    return take(rows, slice(0, max(few, min(ROWS, int(ORIGINAL_BUDGET_S / max(row_s, 1e-9))))))


def _attempt(by: str, spec: RuntimeSpec, trained: Trained, folder: Path, rows: Columns, expected: Columns) -> Attempt:
    try:
        with _awake(spec, trained.signature, folder) as runtime:
            feed = feeder(spec, trained.signature, rows)
            attempt = prove(by, trained.signature, expected, lambda at: runtime.predict(feed(at)), trained.tolerance)
            if not attempt.proven:
                return attempt
            one = feed(slice(0, 1))
            return _timed(attempt, row_us(lambda: runtime.predict(one)))
    except Exception as error:  # a graph that the runtime refuses is one more reason to serve the original
        return Attempt(by, False, f"does not load: {type(error).__name__}: {str(error)[:200]}")


def _timed(attempt: Attempt, us: float) -> Attempt:
    import msgspec

    return msgspec.structs.replace(attempt, row_us=us)


@contextmanager
def _awake(spec: RuntimeSpec, signature: Signature, folder: Path) -> Generator[Runtime]:
    runtime = load(spec, signature, folder)
    try:
        yield runtime
    finally:
        runtime.close()


def feeder(spec: RuntimeSpec, signature: Signature, rows: Columns) -> Callable[[slice], Columns]:
    """A function from a slice of `rows` to what the runtime is fed for it."""
    if spec.layout == "columns":
        return lambda at: take(rows, at)
    matrix = RowChecker(signature).code(rows)
    return lambda at: {"X": matrix[at]}


def golden_rows(trained: Trained, rows: Columns) -> Golden:
    """A few rows with the original's outputs: plain ones first, that a person can paste, then some of the proof's own."""
    plain = _plain_rows(trained)
    count = _GOLDEN_ROWS - rows_of(plain)
    at = np.linspace(0, rows_of(rows) - 1, count).astype(int)
    mixed = {name: np.concatenate([plain[name], rows[name][at]]) for name in plain}
    # Asked together, as they will be when the model is loaded: some models answer a row a little otherwise in other company.
    outputs = {name: answers.tolist() for name, answers in trained.predict(mixed).items()}
    return Golden(_as_rows(trained.signature, mixed), outputs, trained.tolerance)


def _plain_rows(trained: Trained, count: int = 4) -> Columns:
    """Rows in the middle of what the model knows, with short numbers."""
    signature = trained.signature
    landmarks = Landmarks(len(signature.columns))
    find_landmarks(trained.model, landmarks)
    rng = np.random.default_rng(7)
    made: Columns = {}
    for i, column in enumerate(signature.columns):
        if column.dtype == "category":
            known = column.categories or ("",)
            values = np.empty(count, dtype=object)
            values[:] = [known[int(k)] for k in rng.integers(0, len(known), count)]
        elif column.dtype == "string":
            values = np.array(["some plain text", "another text", "and one more", "the last of them"][:count], dtype=object)
        else:
            pool = np.concatenate([np.asarray(landmarks.values[i]), *(part[:, i] for part in landmarks.rows)])
            pool = pool if len(pool) else np.array([0.5, 1.0, 2.0, 3.0])
            numbers = [float(f"{v:.3g}") for v in np.quantile(pool, rng.uniform(0.25, 0.75, count))]
            values = np.array(numbers)
            if column.dtype.startswith(("int", "uint", "bool")):
                values = np.rint(values).astype(column.dtype)
        made[column.name] = values
    return made


def _as_rows(signature: Signature, columns: Columns) -> list[list[object]]:
    return [list(values) for values in zip(*(_as_values(columns[name]) for name in signature.names), strict=True)]


def _as_values(array: Any) -> list[object]:
    """Values as JSON can hold them: missing is null, infinities are spelled."""
    spelled = {float("inf"): "Infinity", float("-inf"): "-Infinity"}
    return [
        None if value is None or value != value else spelled.get(value, value) if isinstance(value, float) else value
        for value in array.tolist()
    ]
