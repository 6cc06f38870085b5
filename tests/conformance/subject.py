"""A case as a client meets it: its model file published, its artifact served by the engine, asked in JSON bytes."""

from __future__ import annotations

import asyncio
import json
import time
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle
import msgspec
import numpy as np
import pandas as pd
from httpx import ASGITransport, AsyncClient

from salver.artifact.artifact import open_artifact
from salver.artifact.manifest import Lowering
from salver.artifact.trust import Policy
from salver.engine.engine import Engine
from salver.engine.model import Model
from salver.errors import SalverError
from salver.frameworks.files import adapt
from salver.log.record import Record
from salver.lower.publish import publish
from salver.server.app import make_app
from salver.server.asking import AskedRequest
from salver.server.entrance import Entrance
from salver.server.predict import Codec
from salver.server.problems import problem, status_of
from salver.server.protocols import infer
from salver.server.settings import Limits, Protocols, Settings
from salver.types.signature import Columns
from tests.conformance.case import Case
from tests.conformance.protocols import SAGEMAKER, VERTEX, Table, Way

NATIVE = "native"
EVERYWHERE = Settings(protocols=Protocols(vertex_predict=VERTEX))
CONTAINER = Settings(protocols=Protocols(invocations="sagemaker"))
_SPELLED = {float("inf"): "Infinity", float("-inf"): "-Infinity"}
_decode = msgspec.json.Decoder(Record).decode_lines


class Answer(NamedTuple):
    """What a client sees."""

    status: int
    text: str
    body: dict[str, Any]


class Subject:
    """One case, trained once, published once, and awake until `close`."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case = case
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the libraries' advice to trainers
            self.original, self.X = case.make()
            self.trained = adapt(self.original)
            file = folder / "model.pkl"
            file.write_bytes(cloudpickle.dumps(self.original))
            publish(file, "subject", folder / "artifact")
        self.artifact = Policy("trusted").admit(open_artifact(folder / "artifact"))
        self.model = Model(self.artifact)
        self.signature = self.model.signature
        self._written = bytearray()
        engine = Engine(self._written.extend)
        self.lane = engine.take(self.model)
        self._codec = Codec(self.lane)
        self._app, self._container = (
            make_app(engine, Entrance(engine, settings), None) for settings in (EVERYWHERE, CONTAINER)
        )
        self._loop = asyncio.Runner()

    def close(self) -> None:
        self._loop.run(self.lane.close())
        self._loop.close()

    @property
    def lowering(self) -> Lowering:
        return self.artifact.manifest.lowering

    @property
    def served_by(self) -> str:
        """The way that was chosen, as the docs' table names it."""
        return self.lowering.chosen or NATIVE

    @cached_property
    def columns(self) -> Columns:
        """The case's rows as arrays by column, as a runtime takes them."""
        return self.checked(self.rows)

    @cached_property
    def rows(self) -> list[list[Any]]:
        """The case's rows as a client writes them: in the signature's order, missing values null."""
        X = self.X.toarray() if hasattr(self.X, "toarray") else self.X
        if hasattr(X, "iloc"):
            columns = [X.iloc[:, i] for i in range(X.shape[1])] if X.ndim == 2 else [X]
        else:
            X = np.asarray(X)
            columns = list(X.T) if X.ndim == 2 else [X]
        return as_sent(column.tolist() for column in columns)

    def checked(self, rows: list[list[Any]]) -> Columns:
        """Rows as a client writes them, as the arrays that the adapter takes."""
        checker = self.model.checker
        return checker.columns([checker.check(row, i) for i, row in enumerate(rows)])

    def ask(self, question: dict[str, Any] | bytes) -> Answer:
        """Send a body through the codec, the queue, the runtime and the log. The answer is strict JSON or this raises."""
        body = question if isinstance(question, bytes) else json.dumps(question).encode()
        self._written.clear()
        try:
            status, answer = 200, self._loop.run(self._answer(body))
        except SalverError as error:
            status, answer = status_of(error), problem(error)
        text = answer.decode()
        return Answer(status, text, json.loads(text, parse_constant=_refuse_constant))

    def ask_by(self, way: Way, table: Table) -> list[Any]:
        """Send the columns of a table in the way of another protocol, through the app and all that lies behind it."""

        async def asked() -> list[Any]:
            container = {f"all://{SAGEMAKER}": ASGITransport(self._container)}
            transport = ASGITransport(self._app)
            async with AsyncClient(transport=transport, base_url="http://subject", mounts=container) as client:
                return await way(client, infer.Codec(self.lane, Limits()), table)

        return self._loop.run(asked())

    @property
    def records(self) -> list[Record]:
        """What the last question left in the log."""
        return _decode(bytes(self._written))

    async def _answer(self, body: bytes) -> bytes:
        rows, form, keys = self._codec.question(body)
        request = AskedRequest(
            rows=rows,
            count=len(rows),
            size_bytes=len(body),
            arrived_ns=time.perf_counter_ns(),
            source="http",
            keys=keys,
        )
        self.lane.submit(request)
        batch, start = await request.reply
        return self._codec.answer(form, batch, start, len(rows))


def as_sent(columns: Any) -> list[list[Any]]:
    """Columns of Python values → rows of what JSON can hold."""
    return [[_as_sent(value) for value in row] for row in zip(*columns, strict=True)]


def _as_sent(value: Any) -> Any:
    if isinstance(value, float):
        return None if value != value else _SPELLED.get(value, value)
    return None if value is pd.NA else value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
