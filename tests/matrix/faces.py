"""The ways to ask a saved model. A face is a function from an artifact's folder to one that asks it.

What is asked is rows in any kind of table; what comes back are the predictions and, where there are any, the probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from salver.artifact.artifact import open_artifact
from salver.artifact.trust import Policy
from salver.artifact.trust import Policy
from salver.engine.lane import values_of
from salver.engine.model import Model
from salver.engine.request import Request
from salver.types.signature import rows_of
from tests.matrix.sources import columns_of

Ask = Callable[[Any], tuple[list[Any], Any]]


@contextmanager
def by_columns(folder: Path) -> Generator[Ask]:
    """The engine's model, asked with checked arrays."""
    model = Model(Policy().admit(open_artifact(folder)))

    def ask(data: Any) -> tuple[list[Any], Any]:
        columns = model.checker.check_columns(columns_of(data, model.signature))
        return answered(model, Request(columns=columns, count=rows_of(columns), size_bytes=0, arrived_ns=0, source="test"))

    try:
        yield ask
    finally:
        model.close()


@contextmanager
def by_rows(folder: Path) -> Generator[Ask]:
    """The same, asked row by row as JSON brings them."""
    model = Model(Policy().admit(open_artifact(folder)))

    def ask(data: Any) -> tuple[list[Any], Any]:
        columns = columns_of(data, model.signature)
        listed = zip(*(columns[name].tolist() for name in columns), strict=True)
        rows = [model.checker.check(dict(zip(columns, row, strict=True))) for row in listed]
        return answered(model, Request(rows=rows, count=len(rows), size_bytes=0, arrived_ns=0, source="test"))

    try:
        yield ask
    finally:
        model.close()


def answered(model: Model, request: Request) -> tuple[list[Any], Any]:
    outputs = model.predict([request])
    return values_of(model.signature.prediction, outputs["prediction"]), outputs.get("probabilities")


FACES = {"columns": by_columns, "rows": by_rows}
