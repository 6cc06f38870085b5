"""GET /models/NAME/accuracy: measured by `salver accuracy` in a process of its own, since it takes its time."""

from __future__ import annotations

import asyncio
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from salver.engine.engine import Engine
from salver.errors import InputError, Unavailable
from salver.log.writer import Writer
from salver.types.reference import Reference

_WHEN = re.compile(r"[0-9A-Za-z:.-]{1,40}")
_SAID = re.compile(r"^salver: (.*)", re.MULTILINE)


class AccuracyFace:
    """The route for accuracy. One question is measured at a time."""

    def __init__(self, engine: Engine, log: Writer | None) -> None:
        self._engine = engine
        self._log = log
        self._turn = asyncio.Lock()

    def routes(self) -> list[Route]:
        return [Route("/models/{ref}/accuracy", self.measure)]

    async def measure(self, http: Request) -> Response:
        """`?by=version&by=day&since=7d&until=…`, as the command has them."""
        if self._log is None:
            raise Unavailable("this server keeps no log, so there is nothing to measure", code="no_log")
        reference = Reference.parse(http.path_params["ref"])
        self._engine.find(Reference(reference.name))
        arguments = [str(reference), "--json", "--log", str(self._log.folder)]
        for name in ("since", "until"):
            when = http.query_params.get(name)
            if when is not None:
                if not _WHEN.fullmatch(when):
                    raise InputError(f"'{name}' is a span (7d, 12h) or a date in UTC", code="invalid_question")
                arguments.append(f"--{name}={when}")
        arguments += [f"--by={by}" for by in http.query_params.getlist("by")]
        async with self._turn:
            return Response(await _run(arguments), media_type="application/json")


async def _run(arguments: list[str]) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "salver", "accuracy", *arguments, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    try:
        said, failed = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode == 0:
        return said
    told = _SAID.search(failed.decode(errors="replace"))
    raise InputError(told[1] if told else "the accuracy can't be measured", code="invalid_question")
