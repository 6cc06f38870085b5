"""Predictions for a table: a body of CSV, JSON lines, Arrow or Parquet, and an answer in any of them, part by part.

The body is put into a file first, and so is the answer: memory holds a part of each, however large they are, no client has to
read while it still writes, and a row that does not fit is refused with its status before anything was answered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import IO, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from salver.engine.batch import Batch
from salver.engine.lane import Lane
from salver.errors import InputError
from salver.server import encodings, reading
from salver.server.asking import ask, deadline_of
from salver.server.body import spool_body
from salver.server.formats import media
from salver.server.formats.media import Part
from salver.server.protocols.rows import RowCodec
from salver.server.settings import Limits
from salver.types.rows import Row
from salver.types.signature import Columns, Label, Output, rows_of

PART_ROWS = 4096
IDS = Output("id", "string")
_SEND_BYTES = 256 * 1024

Checked = tuple[list[Row] | None, Columns | None, int]


async def predict_table(http: Request, lane: Lane, asked: media.Name, answered: media.Name | None) -> Response:
    """The answer to a table, in JSON where `answered` is None. Raises InputError and what asking raises."""
    module, deadline_ns = media.module(asked), deadline_of(http, time.perf_counter_ns())  # of the whole table
    with await spool_body(http) as body, ThreadPoolExecutor(1, "salver-table") as thread:
        # One thread for all of it: memory that several take and give back by turns is never given back.
        run = partial(asyncio.get_running_loop().run_in_executor, thread)
        answer = Answer(http, lane, answered) if answered else JsonAnswer(http, lane)
        try:
            parts = _checked_parts(lane, module.read(body, lane.model.signature, PART_ROWS))
            while (part := await run(next, parts, None)) is not None:
                rows, columns, count = part
                batch, start = await ask(
                    http,
                    lane,
                    arrived_ns=time.perf_counter_ns(),
                    size_bytes=0,
                    count=count,
                    rows=rows,
                    columns=columns,
                    deadline_ns=deadline_ns,
                )
                await run(answer.add, batch, start, count)
                part = rows = columns = batch = None  # or they would live on beside the next
            return await run(answer.response)
        except BaseException:
            answer.drop()
            raise


async def table_answer(http: Request, lane: Lane, answered: media.Name, batch: Batch, start: int, count: int) -> Response:
    """A table of predictions for a question that was none."""
    answer = Answer(http, lane, answered)
    try:
        await asyncio.to_thread(answer.add, batch, start, count)
        return await asyncio.to_thread(answer.response)
    except BaseException:
        answer.drop()
        raise


class Answer:
    """A table of predictions that grows in a file."""

    def __init__(self, http: Request, lane: Lane, name: media.Name) -> None:
        self._lane = lane
        self._media_type = media.media_type(name)
        self._outputs, self._classes = _outputs(lane, wants_probabilities(http, lane))
        self._coding = encodings.chosen(http.headers.get("accept-encoding", ""))
        if self._coding == "deflate":
            self._coding = None
        self._file = encodings.spool()
        self._target = encodings.compressing(self._coding, self._file)
        self._writer = media.module(name).Writer(self._target, [*self._outputs, *self._classes, IDS])

    def add(self, batch: Batch, start: int, count: int) -> None:
        """Write the predictions of some rows."""
        rows = slice(start, start + count)
        columns = {output.name: batch.outputs[output.name][rows] for output in self._outputs}
        if self._classes:
            shares = zip(*batch.outputs["probabilities"][rows], strict=True)
            columns |= {output.name: list(values) for output, values in zip(self._classes, shares, strict=True)}
        self._writer.write({**columns, IDS.name: batch.ids[rows]})

    def response(self) -> Response:
        """The whole answer, read from its file as the client takes it."""
        self._writer.close()
        self._target.close()
        size_bytes = self._file.tell()
        self._file.seek(0)
        headers = {"content-length": str(size_bytes), "vary": "accept-encoding"}
        if self._coding:
            headers["content-encoding"] = self._coding
        return StreamingResponse(_read(self._file), headers=headers, media_type=self._media_type)

    def drop(self) -> None:
        """Throw it away."""
        self._file.close()


class JsonAnswer:
    """Predictions for a table as `/predict` answers several rows in JSON; they are all in memory, so there is a limit."""

    def __init__(self, http: Request, lane: Lane) -> None:
        self._rows = RowCodec(lane, http.app.state.limits)
        self._limits: Limits = http.app.state.limits
        self._probabilities: list[Any] | None = [] if wants_probabilities(http, lane) else None
        self._predictions: list[Any] = []
        self._ids: list[str] = []

    def add(self, batch: Batch, start: int, count: int) -> None:
        """Keep the predictions of some rows. Raises TooLarge."""
        rows = slice(start, start + count)
        self._predictions += self._rows.predictions(batch, start, count)
        self._ids += batch.ids[rows]
        if self._probabilities is not None:
            self._probabilities += batch.outputs["probabilities"][rows]
        reading.require_rows(len(self._ids), self._limits)

    def response(self) -> Response:
        """The whole answer."""
        model = self._rows.lane.model
        answer: dict[str, Any] = {"predictions": self._predictions, "ids": self._ids}
        answer |= {"model": model.name, "version": model.version}
        if self._probabilities is not None:
            answer |= {"probabilities": self._probabilities, "classes": model.signature.prediction.classes}
        return Response(msgspec.json.encode(answer), media_type=media.JSON)

    def drop(self) -> None:
        """Nothing is kept anywhere."""


def wants_probabilities(http: Request, lane: Lane) -> bool:
    """Whether `?probabilities=true` was asked. Raises InputError where the model gives none."""
    wanted = http.query_params.get("probabilities", "false").lower()
    if wanted not in ("true", "false", "1", "0"):
        raise InputError("probabilities is true or false", code="invalid_body")
    if wanted in ("false", "0"):
        return False
    if lane.model.signature.output("probabilities") is None:
        raise InputError(f"model '{lane.model.name}' gives no probabilities; leave them out", code="no_probabilities")
    return True


def _outputs(lane: Lane, probabilities: bool) -> tuple[list[Output], list[Output]]:
    signature = lane.model.signature
    main = [output for output in signature.outputs if output.name not in ("probabilities", "scores")]
    labels: tuple[Label | tuple[Label, ...], ...] = (signature.prediction.classes or ()) if probabilities else ()
    return main, [Output(f"probability_{label}") for label in labels]


def _checked_parts(lane: Lane, parts: Iterator[Part]) -> Iterator[Checked]:
    """The parts, checked; a refusal names the row of the whole table. Raises InputError."""
    checker, seen = lane.model.checker, 0
    try:
        for part in parts:
            if part.rows is not None:
                rows = [checker.check(row, seen + i) for i, row in enumerate(part.rows)]
                yield rows, None, len(rows)
                seen += len(rows)
                continue
            assert part.columns is not None
            try:
                columns = checker.check_columns(part.columns)
            except InputError as error:
                raise _moved(error, seen) from error
            count = rows_of(columns)
            yield None, columns, count
            seen += count
    except InputError as error:
        lane.stats.errors[error.code] += 1
        raise


def _moved(error: InputError, rows: int) -> InputError:
    if not rows or error.row is None:
        return error
    row = error.row + rows
    said = error.message.replace(f"row {error.row}", f"row {row}", 1)
    return InputError(said, code=error.code, column=error.column, row=row, expected=error.expected)


async def _read(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while chunk := await asyncio.to_thread(file.read, _SEND_BYTES):
            yield chunk
