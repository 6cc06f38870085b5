"""Asking the original: which of the proof's rows it answers, and whether its answers can be held against others at all."""

from __future__ import annotations

import time

import numpy as np

from salver.errors import ModelFileError
from salver.frameworks.base import Trained
from salver.lower.proof import compare
from salver.lower.rows import ROWS, proof_rows
from salver.types.signature import Columns, rows_of, take

BUDGET_S = 20.0
"""How long the original may take over the proof rows; a slower model is proven on fewer, and their number is recorded."""
_FEW = 64  # rows that tell how slow it is
_LEAST = 100  # rows of a proof, where the original refuses some
_COMPANY = 1e-6
"""How far numbers may move with the rows beside them: libraries sum a single row in another order, some in single precision."""


def answered(trained: Trained, rows: Columns) -> tuple[Columns, Columns, Exception | None]:
    """Those of `rows` that the original answers, its answers, and what it raised on others.

    What it refuses is found by halving. That ends after `BUDGET_S`; rows undecided by then are left out too.
    """
    kept: list[slice] = []
    answers: list[Columns] = []
    error: Exception | None = None
    todo, end = [slice(0, rows_of(rows))], time.perf_counter() + BUDGET_S
    while todo and (error is None or time.perf_counter() < end):
        part = todo.pop()
        try:
            answers.append(trained.predict(take(rows, part)))
            kept.append(part)
        except Exception as raised:  # whatever a model raises on a row is its way of refusing it
            error, middle = raised, (part.start + part.stop) // 2
            if middle > part.start:
                todo += [slice(middle, part.stop), slice(part.start, middle)]
    return _joined([take(rows, part) for part in kept]), _joined(answers), error


def _joined(parts: list[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def affordable(trained: Trained, sample: Columns | None = None) -> tuple[Columns, Columns]:
    """The proof's rows, as many as the original answers in time, and its answers. Raises ModelFileError for too few.

    Rows of a `sample` are among them, from the first to the last.
    """
    rows = proof_rows(trained.model, trained.signature)
    if sample:
        rows = _shuffled_together(rows, sample)
    spread = np.linspace(0, rows_of(rows) - 1, _FEW).astype(int)
    few, _, error = answered(trained, {name: array[spread] for name, array in rows.items()})
    count = rows_of(few) if few else 0
    if count:
        start = time.perf_counter()
        trained.predict(few)
        row_s = (time.perf_counter() - start) / count
        asked = take(rows, slice(0, max(_FEW, min(max(ROWS, rows_of(rows)), int(BUDGET_S / max(row_s, 1e-9))))))
        kept, answers, raised = answered(trained, asked)
        error, count = raised or error, rows_of(kept) if kept else 0
        if raised is None or count >= _LEAST:
            return kept, answers
    raise ModelFileError(
        f"{trained.framework.model} refuses rows that fit its columns ({type(error).__name__}), "
        f"all but {count} of those it was asked: too few are left to prove anything"
    )


def _shuffled_together(rows: Columns, sample: Columns) -> Columns:
    """All of both, each in its order, spread evenly."""
    places = np.concatenate([np.linspace(0, 1, rows_of(rows)), np.linspace(0, 1, rows_of(sample))])
    order = np.argsort(places, kind="stable")
    return {name: np.concatenate([rows[name], sample[name]])[order] for name in rows}


def require_steady(trained: Trained, rows: Columns) -> None:
    """Raise ModelFileError for a model that answers a row differently from call to call, or with other rows beside it."""
    once = trained.predict(rows)
    if _differing(trained, once, trained.predict(rows), trained.tolerance):
        raise _unsteady(trained, "from one call to the next")
    alone = _joined([trained.predict(take(rows, slice(i, i + 1))) for i in range(rows_of(rows))])
    # One row may lie where two labels are as likely.
    if _differing(trained, once, alone, max(trained.tolerance, _COMPANY)) > 1:
        raise _unsteady(trained, "with the rows beside it")


def _differing(trained: Trained, one: Columns, other: Columns, tolerance: float) -> int:
    """In how many rows two answers differ."""
    at = (slice(i, i + 1) for i in range(rows_of(one)))
    pairs = (compare(trained.signature, take(one, row), take(other, row)) for row in at)
    return sum(flips > 0 or not difference <= tolerance for flips, difference in pairs)


def _unsteady(trained: Trained, how: str) -> ModelFileError:
    return ModelFileError(
        f"{trained.framework.model}: its answers to the same row differ {how}, so nothing can be proven of it, "
        "and a service could not say what it answers"
    )
