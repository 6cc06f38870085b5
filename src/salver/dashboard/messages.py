"""What the server and the process that makes the pages say to each other: frames of MessagePack, each after its length.

The server sends what only it knows (`Facts`), and who asks for which page (`Ask`). Nothing else is shared.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec

LENGTH = struct.Struct("!I")


class Lane(msgspec.Struct, array_like=True, frozen=True):
    """What the servers of this address have counted of a version by one route, since they started.

    `latency` are requests by bucket, the bounds being `salver.engine.stats.SECONDS`; `errors` are requests by code.
    """

    model: str
    version: int
    route: str
    rows: float
    latency: list[int]
    errors: dict[str, float]


class Served(msgspec.Struct, frozen=True):
    """A model as the server has it: its state, and who answers. `followed`: as `GET /models/NAME` says it; empty for files."""

    name: str
    state: str
    task: str = ""
    versions: tuple[int, ...] = ()
    followed: dict[str, Any] = {}
    proof: list[str] = []  # how one out of a file is served


class Facts(msgspec.Struct, tag=True, frozen=True):
    """What the server knows at `at_s`, a monotonic time, and `now_s`, the time in s since 1970."""

    at_s: float
    now_s: float
    started_s: float
    lanes: list[Lane]
    models: list[Served]


class Caller(msgspec.Struct, frozen=True):
    """Who asks: the key's name, what they may do beside reading, and the models that the key is for (none: all)."""

    who: str = ""
    may: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    keys: bool = False  # whether a key is needed here

    def sees(self, model: str) -> bool:
        return not self.models or model in self.models


class Ask(msgspec.Struct, tag=True, frozen=True):
    """A page, by its path below /ui. `given` is what the server adds for this page alone: a token, an answer, an error."""

    id: int
    page: str
    query: str
    caller: Caller
    given: dict[str, Any] = {}


class Cancel(msgspec.Struct, tag=True, frozen=True):
    """Nobody waits for that page any more."""

    id: int


class Page(msgspec.Struct, frozen=True):
    """A page that was asked for."""

    id: int
    status: int
    body: bytes


Message = Facts | Ask | Cancel

encode = msgspec.msgpack.Encoder().encode
decode_message = msgspec.msgpack.Decoder(Message).decode
decode_page = msgspec.msgpack.Decoder(Page).decode


def framed(message: Message | Page) -> bytes:
    """A message with its length before it."""
    data = encode(message)
    return LENGTH.pack(len(data)) + data
