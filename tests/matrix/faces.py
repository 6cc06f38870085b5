"""The ways to ask a saved model. A face is a function from an artifact's folder to one that asks it.

What is asked is rows in any kind of table; what comes back are the predictions and, where there are any, the probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pyarrow as pa
import pytest

import salver
from salver.artifact.artifact import open_artifact
from salver.artifact.trust import Policy
from salver.engine.batch import values_of
from salver.engine.model import Model
from salver.engine.request import Request
from salver.errors import ConfigError
from salver.registry.export import export_artifact
from salver.types.rows import RowChecker
from salver.types.signature import rows_of
from tests.matrix.sources import columns_of
from tests.serving import serving

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


@contextmanager
def embedded(folder: Path) -> Generator[Ask]:
    """In an application, asked with the table itself, which answers in kind."""
    with salver.load(folder) as model:

        def ask(data: Any) -> tuple[list[Any], Any]:
            shares = shares_of(model.predict_proba(data)) if model.signature.output("probabilities") else None
            return listed(model.predict(data)), shares

        yield ask


@contextmanager
def served(folder: Path) -> Generator[Ask]:
    """Over HTTP, asked in JSON."""
    with serving([folder]) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        signature = open_artifact(folder).manifest.signature

        def ask(data: Any) -> tuple[list[Any], Any]:
            columns = columns_of(data, signature)
            values = zip(*(columns[name].tolist() for name in columns), strict=True)
            rows = [{name: None if v is None or v != v else v for name, v in zip(columns, row, strict=True)} for row in values]
            wanted = bool(signature.output("probabilities"))
            answer = client.post("/predict", json={"instances": rows, "probabilities": wanted})
            assert answer.status_code == 200, answer.text
            return answer.json()["predictions"], answer.json().get("probabilities")

        yield ask


@contextmanager
def exported(folder: Path) -> Generator[Ask]:
    """The bare graph, in ONNX Runtime itself; models without a graph have no such face."""
    artifact = open_artifact(folder)
    signature, checker = artifact.manifest.signature, RowChecker(artifact.manifest.signature)
    with TemporaryDirectory() as scratch:
        graph = Path(scratch) / "graph.onnx"
        try:
            export_artifact(artifact, graph, "onnx")
        except ConfigError as error:
            assert artifact.manifest.runtime.kind == "native", error.message
            yield lambda data: pytest.skip("served by its own framework")
            return
        session = onnxruntime.InferenceSession(graph)

        def ask(data: Any) -> tuple[list[Any], Any]:
            matrix = checker.code(checker.check_columns(columns_of(data, signature)))
            names = [output.name for output in signature.outputs]
            outputs = dict(zip(names, session.run(names, {"X": matrix}), strict=True))
            return values_of(signature.prediction, outputs["prediction"]), outputs.get("probabilities")

        yield ask


def listed(answers: Any) -> list[Any]:
    """The values of a vector of any library."""
    for name in ("tolist", "to_list", "to_pylist"):
        if hasattr(answers, name):
            return getattr(answers, name)()
    assert isinstance(answers, list)
    return answers


def shares_of(answers: Any) -> Any:
    """A table of any library, a column a class, as one array."""
    if isinstance(answers, list):
        return np.array([list(row.values()) if isinstance(row, dict) else row for row in answers])
    if isinstance(answers, pa.Table):
        return np.stack([column.to_numpy() for column in answers.columns], axis=1)
    return np.asarray(answers)


FACES = {"columns": by_columns, "rows": by_rows, "embedded": embedded, "served": served, "exported": exported}
