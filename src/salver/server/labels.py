"""POST /models/NAME/labels: taken at once into the log, then looked up by a process of its own, so that the answer says what
became of each. All that wait for it are looked up together.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from salver.engine.engine import Engine
from salver.errors import InputError, Unavailable
from salver.log.labels import Checked, Given, LabelWriter, acceptor, check, keeper
from salver.log.settings import Settings, read_settings
from salver.log.writer import Writer
from salver.server import reading
from salver.server.body import read_body
from salver.server.settings import Limits
from salver.types.reference import Reference

IDLE_S = 60.0


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    labels: list[Given] | None = None
    label: Any = msgspec.UNSET
    id: str | None = None
    key: str | None = None
    weight: float | None = None


_decoder = msgspec.json.Decoder(_Body)


class LabelFace:
    """The route for labels."""

    def __init__(self, engine: Engine, log: Writer | None) -> None:
        self._engine = engine
        self._folder = log.folder if log else None
        self._settings = read_settings(log.folder) if log else Settings()
        self._writer = LabelWriter(log.folder) if log else None
        self._counter = Counter(log.folder) if log else None

    def routes(self) -> list[Route]:
        return [Route("/models/{ref}/labels", self.take, methods=["POST"])]

    async def take(self, http: Request) -> Response:
        """Log the labels, then say what became of them."""
        if self._writer is None or self._counter is None:
            raise Unavailable("this server keeps no log, so labels have nothing to be joined with", code="no_log")
        name = Reference.parse(http.path_params["ref"]).name
        lane = self._engine.find(Reference(name))
        body = await read_body(http)
        accept = acceptor(lane.model.signature)
        checked, lines = await asyncio.to_thread(self._store, name, body, accept, http.app.state.limits)
        answer: dict[str, Any] = {"taken": len(checked.labels)}
        if http.query_params.get("count") != "false":
            answer |= await self._counter.count(name, checked.labels[0].ts, lines) if checked.labels else {}
        answer["invalid"] = sum(checked.wrong.values())
        if checked.wrong:
            answer["reasons"] = checked.wrong
            answer["refused"] = msgspec.to_builtins(checked.refused)
        return JSONResponse(answer)

    def _store(self, model: str, body: bytes, accept: Any, limits: Limits) -> tuple[Checked, bytes]:
        assert self._writer and self._folder
        keep = keeper(self._folder, self._settings, model)
        checked = check(_given(body, limits), model, accept, keep, "http")
        if checked.wrong and not checked.labels:
            raise InputError(f"{next(iter(checked.wrong))}; nothing was taken", code="invalid_label")
        return checked, self._writer.append(checked.labels)


def _given(body: bytes, limits: Limits) -> list[Given]:
    read = reading.read(_decoder, body, limits)
    if (read.labels is None) == (read.label is msgspec.UNSET):
        raise InputError('send "labels" (a list) or one "label", each with an "id" or a "key"', code="invalid_body")
    if read.labels is not None:
        return read.labels
    return [Given(read.label, read.id, read.key, read.weight)]


class Counter:
    """Asks the process that knows DuckDB. It is started for the first labels, and let go when none came for a while."""

    def __init__(self, log: Path, idle_s: float = IDLE_S) -> None:
        self._log = log
        self._idle_s = idle_s
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self._leaving: asyncio.TimerHandle | None = None

    async def count(self, model: str, first: int, lines: bytes) -> dict[str, Any]:
        """What became of labels that were just logged; `{"counted": false}` where nobody can say."""
        with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
            await asyncio.to_thread(_fill, file, lines)
            async with self._turn:
                try:
                    said = await self._ask(msgspec.json.encode({"file": file.name, "model": model, "first": first}))
                except (OSError, asyncio.IncompleteReadError):
                    self._process = None
                    return {"counted": False}
        answer: dict[str, Any] = msgspec.json.decode(said)
        return {"counted": False} if "error" in answer else answer

    async def _ask(self, question: bytes) -> bytes:
        process = await self._started()
        assert process.stdin and process.stdout
        process.stdin.write(question + b"\n")
        await process.stdin.drain()
        return await process.stdout.readuntil(b"\n")

    async def _started(self) -> Process:
        if self._leaving:
            self._leaving.cancel()
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "salver.log.counting", str(self._log), stdin=PIPE, stdout=PIPE, stderr=DEVNULL
            )
        self._leaving = asyncio.get_running_loop().call_later(self._idle_s, self._leave)
        return self._process

    def _leave(self) -> None:
        if self._turn.locked():  # it is being asked
            self._leaving = asyncio.get_running_loop().call_later(self._idle_s, self._leave)
        elif self._process and self._process.stdin:
            self._process.stdin.close()  # its input ends, and so does it
            self._process = None


def _fill(file: Any, lines: bytes) -> None:
    file.write(lines)
    file.flush()
