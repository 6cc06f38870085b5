"""Messages in, answers out, by the versions that the route says. What a message holds, and who answers it, is decided here."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from salver.embedded.model import Awake
from salver.engine.routing import Routing
from salver.engine.split import Split
from salver.errors import InputError, SalverError
from salver.log.policy import Policies
from salver.stream.answering import Answered, Answering, Asked
from salver.stream.contract import Message, Outgoing, legible
from salver.stream.shadows import Shadows
from salver.types.rows import Row

ROUTE, CANARY = "stream", "canary"
_DEAD_BYTES = 2**17
"""What is kept of a value that can't be scored. Brokers refuse a message of more than a megabyte; JSON escapes some bytes."""


class Dead(msgspec.Struct, omit_defaults=True):
    """The value of a message in the dead-letter place.

    `value` is the message's own, bytes that are no UTF-8 written as `\\xff`; of a long one the beginning, and `size_bytes` is
    how long it was.
    """

    id: str
    code: str
    reason: str
    source: str
    position: str
    value: str
    size_bytes: int | None = None


class Scored(NamedTuple):
    """What came of some messages: answers in their order, those without, log lines, how many each version answered."""

    answers: list[Outgoing]
    dead: list[tuple[Outgoing, str]]
    lines: bytes
    versions: dict[int, int]


class Scoring:
    """Scores messages. Others may answer from any moment on, between two calls."""

    def __init__(self, source: str, key: str | None, policies: Policies | None, shadows: Shadows) -> None:
        """`key` is the field with the caller's key, for messages that have none; `policies` say what the log keeps."""
        self._source = source
        self._key = key
        self._policies = policies
        self._shadows = shadows
        self._lock = threading.Lock()
        self._decode = msgspec.json.Decoder().decode
        self._encode = msgspec.json.Encoder().encode
        self._ids = hashlib.blake2b(f"{source}\0".encode(), digest_size=16)
        self._default: Answering
        self._split: Split[Answering] | None = None

    @property
    def version(self) -> int:
        """The version that answers where no canary does."""
        return self._default.model.version

    def install(self, routing: Routing, awake: Mapping[int, Awake]) -> None:
        """From the next call on, these answer."""
        assert routing.default is not None
        kind = self._source.partition(":")[0]
        default = Answering(awake[routing.default], ROUTE, kind, self._policies)
        canaries = {
            share.version: Answering(awake[share.version], CANARY, kind, self._policies)
            for share in routing.shares
            if share.version != routing.default
        }
        with self._lock:
            self._default = default
            self._split = Split(default.model.name, routing, default, canaries) if canaries else None
            self._shadows.follow(routing.shadows)

    def __call__(self, messages: Sequence[Message]) -> Scored:
        with self._lock:
            return self._score(messages)

    def _score(self, messages: Sequence[Message]) -> Scored:
        asked: dict[Answering, list[Asked]] = {}
        dead: list[tuple[Outgoing, str]] = []
        for at, message in enumerate(messages):
            made_id = self._id(message)
            try:
                answering, one = self._asked(at, message, made_id)
                asked.setdefault(answering, []).append(one)
            except InputError as error:
                dead.append(self._dead(message, made_id, error))
        made = [(answering, answering(some)) for answering, some in asked.items()]
        for answering, answered in made:
            dead += [self._dead(one.message, one.id, error) for one, error in answered.failed]
            if answered.batch is not None:
                self._shadows.offer(answered.batch, answering.prediction)
        versions = {answering.model.version: len(answered.asked) for answering, answered in made}
        return Scored(_in_order([answered for _, answered in made]), dead, b"".join(one.lines for _, one in made), versions)

    def _asked(self, at: int, message: Message, made_id: str) -> tuple[Answering, Asked]:
        """Who answers a message, and its checked row. Raises InputError."""
        try:
            value: Any = self._decode(message.value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise InputError("the message is no JSON", code="invalid_json") from None
        key = None if message.key is None else legible(message.key)
        if key is None and self._key is not None and isinstance(value, dict) and value.get(self._key) is not None:  # type: ignore[reportUnknownMemberType]
            key = str(value[self._key])  # type: ignore[reportUnknownArgumentType]
        answering = self._default
        row = answering.row(value)
        if self._split is not None:
            answering = self._chosen(self._split, message, row, key, made_id)
            if answering is not self._default:
                row = answering.row(value)
        return answering, Asked(at, message, made_id, key, row)

    def _chosen(self, split: Split[Answering], message: Message, row: Row, key: str | None, made_id: str) -> Answering:
        """By what the route says, else by the key, or the id: a message that comes again is answered by the same version."""
        if split.header:
            return split.by_value(next((text for name, text in message.headers.items() if name.lower() == split.header), None))
        return split.by_rows([row], None, [key]) if split.by_body else split.by_value(key or made_id)

    def _id(self, message: Message) -> str:
        """Always the same for the same message, so that an answer that comes twice is known: a UUID of version 8."""
        made = self._ids.copy()
        made.update(message.position.encode())
        digits = made.hexdigest()
        return f"{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"

    def _dead(self, message: Message, made_id: str, error: SalverError) -> tuple[Outgoing, str]:
        value = message.value[:_DEAD_BYTES].decode(errors="backslashreplace")
        size_bytes = len(message.value) if len(message.value) > _DEAD_BYTES else None
        reason = error.message.removeprefix("row 0, ").removeprefix("row 0: ")
        told = Dead(made_id, error.code, reason, self._source, message.position, value, size_bytes)
        return Outgoing(self._encode(told), message.key, message.headers, made_id), error.code


def _in_order(made: list[Answered]) -> list[Outgoing]:
    """The answers of all versions, in the order in which their messages came."""
    if len(made) == 1:
        return made[0].outgoing
    pairs = [(one.at, outgoing) for answered in made for one, outgoing in zip(answered.asked, answered.outgoing, strict=True)]
    return [outgoing for _, outgoing in sorted(pairs, key=lambda pair: pair[0])]
