"""Asking the engine from an ASGI handler: the plain path, for whatever is not hot."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request as HttpRequest

from salver.engine.batch import Batch
from salver.engine.lane import Lane
from salver.engine.request import Request
from salver.errors import InputError, SalverError
from salver.types.rows import Row
from salver.types.signature import Columns

TIMEOUT = "x-request-timeout-ms"
"""A header of the request: how long its answer is of use to the caller."""
LONGEST_MS = 1e9
"""What it may say at most."""


class ClientGone(Exception):
    """The client left before its answer; nobody is there to be told anything."""


class AskedRequest(Request):
    """A request whose answer is awaited."""

    __slots__ = ("reply",)

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.reply: asyncio.Future[tuple[Batch, int]] = asyncio.get_running_loop().create_future()

    def answered(self, batch: Batch, start: int) -> None:
        if not self.reply.done():
            self.reply.set_result((batch, start))

    def failed(self, error: SalverError) -> None:
        if not self.reply.done():
            self.reply.set_exception(error)


async def ask(
    http: HttpRequest,
    lane: Lane,
    *,
    arrived_ns: int,
    size_bytes: int,
    count: int,
    rows: list[Row] | None = None,
    columns: Columns | None = None,
    keys: list[str | None] | None = None,
    deadline_ns: int | None = None,
) -> tuple[Batch, int]:
    """The batch that answered, and where in it these rows start. Raises SalverError, or ClientGone when the client leaves.

    Where no `deadline_ns` is given, it is what the header says from `arrived_ns` on.
    """
    request = AskedRequest(
        rows=rows, columns=columns, count=count, size_bytes=size_bytes, arrived_ns=arrived_ns, source="http", keys=keys
    )
    request.deadline_ns = deadline_of(http, arrived_ns) if deadline_ns is None else deadline_ns
    lane.submit(request)
    leaving = asyncio.ensure_future(disconnected(http))
    try:
        await asyncio.wait((request.reply, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        request.disconnected = not request.reply.done()
    if request.disconnected:
        request.reply.cancel()
        raise ClientGone
    return _taken(request)


def _taken(request: AskedRequest) -> tuple[Batch, int]:
    """The reply, out of its request: the batch has that too, and such a ring, with all its rows, waits for the collector."""
    reply = request.reply
    del request.reply
    return reply.result()


def deadline_of(http: HttpRequest, arrived_ns: int) -> int:
    """When the caller's time is over; 0 where none was given. Raises InputError."""
    given = http.headers.get(TIMEOUT)
    return 0 if given is None else arrived_ns + timeout_ns(given)


def timeout_ns(given: str) -> int:
    """What the header says. Raises InputError."""
    try:
        timeout_ms = float(given)
    except ValueError:
        timeout_ms = 0.0
    if not 0 < timeout_ms <= LONGEST_MS:
        raise InputError(f"{TIMEOUT} is a number of milliseconds, more than 0 and at most {LONGEST_MS:.0f}")
    return max(1, int(timeout_ms * 1e6))


async def answered(lane: Lane, request: AskedRequest) -> tuple[Batch, int]:
    """As `ask`, where a client who leaves cancels the task that awaits this. Raises SalverError."""
    lane.submit(request)
    try:
        await asyncio.wait((request.reply,))
    finally:
        request.disconnected = not request.reply.done()
    return _taken(request)


def server_timing(arrived_ns: int, parsed_ns: int, batch: Batch, now_ns: int) -> str:
    """A Server-Timing header (W3C): where the time went, in ms."""
    queued_ns = batch.started_ns - parsed_ns
    phases = {
        "parse": parsed_ns - arrived_ns,
        "queue": queued_ns,
        "predict": batch.ended_ns - batch.started_ns,
        "encode": now_ns - batch.ended_ns,
    }
    return ", ".join(f"{name};dur={max(ns, 0) / 1e6:.3f}" for name, ns in phases.items())


async def disconnected(http: HttpRequest) -> None:
    """Returns when the client leaves."""
    while (await http.receive())["type"] != "http.disconnect":
        pass
