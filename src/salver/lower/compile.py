"""Publishing is compiling: a trained model → the fastest proven way to serve it, written as an artifact's files.

Each way is tried in turn on the same proof rows; the fastest of those that agree with the original wins, and what was tried
is recorded with its evidence. When none agrees, the model is served by its own framework.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from salver.artifact.manifest import Attempt, Golden, Lowering, RuntimeSpec
from salver.errors import LoweringError
from salver.frameworks.base import Trained
from salver.lower import ways
from salver.lower.golden import golden_rows, plain_rows, some_of
from salver.lower.original import affordable, require_steady
from salver.lower.proof import prove, row_us
from salver.runtimes.base import Runtime, load
from salver.types.rows import RowChecker
from salver.types.signature import Columns, Signature, take

_CLEARLY = 0.8  # of another's time a row


class Lowered:
    """What `lower` found: how to serve the model, how that was proven, and golden rows."""

    def __init__(self, spec: RuntimeSpec, lowering: Lowering, golden: Golden) -> None:
        self.spec = spec
        self.lowering = lowering
        self.golden = golden


def lower(trained: Trained, folder: Path, original: RuntimeSpec, sample: Columns | None = None) -> Lowered:
    """Try each way of lowering `trained` into `folder` and keep the fastest proven one; `original` is used if none is.

    Rows of a `sample` are proof rows too, and the golden rows. Files of ways that were not chosen are removed.
    """
    sample = sample or _examples(trained)
    examples = (some_of(trained, sample) if sample else None) or plain_rows(trained)
    require_steady(trained, examples)
    rows, expected = affordable(trained, sample)
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
        except Exception as error:  # a converter that trips over a model must not keep it from being served
            attempts.append(Attempt(by, False, f"its converter failed: {type(error).__name__}: {str(error)[:200]}"))
            continue
        attempts.append(_attempt(by, specs[by], trained, folder, rows, expected))
    chosen = _fastest([attempt for attempt in attempts if attempt.proven])
    for by, spec in specs.items():
        if by != chosen:
            (folder / spec.file).unlink(missing_ok=True)
    spec = specs[chosen] if chosen else original
    golden = golden_rows(trained, examples, rows)
    return Lowered(spec, Lowering(chosen, original_us, tuple(attempts)), golden)


def _examples(trained: Trained) -> Columns | None:
    """The rows that a model brings itself."""
    brought: list[Any] = getattr(trained, "examples", [])
    if not brought:
        return None
    pairs = zip(trained.signature.columns, brought, strict=True)
    # A column of scalar floats is double precision, whatever the model makes of it.
    return {c.name: v.astype(np.float64) if v.dtype.kind == "f" and not c.shape else v for c, v in pairs}


def _fastest(proven: list[Attempt]) -> str:
    """The way that serves: the first, unless a later one is clearly faster, so that noise does not decide."""
    chosen: Attempt | None = None
    for attempt in proven:
        if chosen is None or attempt.row_us < _CLEARLY * chosen.row_us:
            chosen = attempt
    return chosen.by if chosen else ""


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
