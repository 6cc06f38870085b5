"""Reading a request's body: never more of it than a limit, whatever it was compressed to."""

from __future__ import annotations

import asyncio
import io
from typing import IO

from starlette.requests import Request

from salver.errors import TooLarge
from salver.server.encodings import decode, require_known, spool
from salver.server.settings import Limits

LARGE_BYTES = 64 * 1024
"""A body larger than this is decoded in a thread, so that the event loop stays free."""


async def read_body(http: Request) -> bytes:
    """The whole body. Raises TooLarge before or soon after a limit is passed, InputError for what can't be decompressed."""
    if hasattr(http.state, "body"):  # one face has read it, and passes the request on to another
        return http.state.body
    limits: Limits = http.app.state.limits
    coding = _coding(http)
    received = io.BytesIO()
    await _receive(http, received, limits.body_bytes)
    if coding == "identity":
        return received.getvalue()
    decoded = io.BytesIO()
    await _decode(coding, received, decoded, limits.decompressed_bytes)
    return decoded.getvalue()


async def spool_body(http: Request) -> IO[bytes]:
    """The whole body in a file, from its start, for tables that are read in parts. Raises as `read_body` does."""
    limits: Limits = http.app.state.limits
    coding, received = _coding(http), spool()
    await _receive(http, received, limits.table_bytes)
    if coding == "identity":
        received.seek(0)
        return received
    with received:
        decoded = spool()
        await _decode(coding, received, decoded, limits.table_bytes)
    decoded.seek(0)
    return decoded


def _coding(http: Request) -> str:
    coding = http.headers.get("content-encoding", "identity").lower()
    if coding != "identity":
        require_known(coding)
    return coding


async def _receive(http: Request, target: IO[bytes], limit_bytes: int) -> None:
    declared = http.headers.get("content-length", "")
    if declared.isdigit():
        _require_size(int(declared), limit_bytes)
    received = 0
    async for chunk in http.stream():
        received += len(chunk)
        _require_size(received, limit_bytes)
        target.write(chunk)


async def _decode(coding: str, received: IO[bytes], target: IO[bytes], limit_bytes: int) -> None:
    received.seek(0)
    await asyncio.to_thread(decode, coding, received, target, limit_bytes)  # a small body can be a large one


def _require_size(size_bytes: int, limit_bytes: int) -> None:
    if size_bytes > limit_bytes:
        raise TooLarge(f"a body may have at most {limit_bytes} bytes; send the rows in parts")
