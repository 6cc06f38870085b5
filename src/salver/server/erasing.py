"""POST /models/NAME/erase: all that was sent with a person's key leaves the log, in a process beside the server."""

from __future__ import annotations

import asyncio
import logging
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from salver.engine.engine import Engine
from salver.errors import LogUnavailable, Unavailable
from salver.log.signatures import noted
from salver.log.writer import Writer
from salver.server import reading
from salver.server.body import read_body
from salver.types.reference import Reference

logger = logging.getLogger("salver")

_Key = Annotated[str, msgspec.Meta(min_length=1)]


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    keys: Annotated[list[_Key], msgspec.Meta(min_length=1)]


_decoder = msgspec.json.Decoder(_Body)


class EraseFace:
    """The route that erases. One question is worked on at a time."""

    def __init__(self, engine: Engine, log: Writer | None) -> None:
        self._engine = engine
        self._folder = log.folder if log else None
        self._turn = asyncio.Lock()

    def routes(self) -> list[Route]:
        return [Route("/models/{ref}/erase", self.erase, methods=["POST"])]

    async def erase(self, http: Request) -> Response:
        """Answer how many predictions and labels went, once they are in no file of the log."""
        if self._folder is None:
            raise Unavailable("this server keeps no log, so there is nothing to erase", code="no_log")
        name = Reference.parse(http.path_params["ref"]).name
        if await asyncio.to_thread(noted, self._folder, name) is None:  # one that is served no more may have left predictions
            self._engine.find(Reference(name))
        keys = reading.read(_decoder, await read_body(http), http.app.state.limits).keys
        reading.require_rows(len(keys), http.app.state.limits)
        async with self._turn:
            erased = await _erase(self._folder, msgspec.json.encode({"model": name, "keys": keys}))
        return Response(erased, media_type="application/json")


async def _erase(log: Path, asked: bytes) -> bytes:
    """Raises LogUnavailable. Where nobody waits any more, it is finished all the same."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "salver.log.erase", str(log), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    said, failed = await process.communicate(asked)
    if process.returncode == 0:
        return said
    *_, why = failed.decode(errors="replace").strip().splitlines() or [f"exit code {process.returncode}"]
    logger.error("the log could not be erased from: %s", why)
    raise LogUnavailable("the log could not be erased from to the end; ask again, and what is left goes")
