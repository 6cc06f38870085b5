"""Messages in, answers out, by the versions that the route says. What a message holds, and who answers it, is decided here."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from salver.embedded.model import Awake
from salver.engine.routing import Routing
from salver.engine.split import Split
from salver.errors import InputError, SalverError
from salver.log.policy import Policies
from salver.stream.answering import Answered, Answering, Asked
from salver.stream.contract import Message, Outgoing, legible
from salver.stream.ids import Ids
from salver.stream.reading import key_reader
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
        self._key = None if key is None else key_reader(key)
        self._policies = policies
        self._shadows = shadows
        self._lock = threading.Lock()
        self._encode = msgspec.json.Encoder().encode
        self._ids = Ids(source)
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
        rows, refused = self._default.reading(messages)
        all_of_them = Asked(range(len(messages)), messages, self._ids(messages), self._keys(messages), rows)
        wrong: dict[int, SalverError] = {**refused}
        groups = self._groups(all_of_them, wrong)
        made = [(answering, answering(asked)) for answering, asked in groups]
        for answering, answered in made:
            wrong |= answered.failed
            if answered.batch is not None:
                self._shadows.offer(answered.batch, answering.prediction)
        dead = [self._dead(messages[at], all_of_them.ids[at], wrong[at]) for at in sorted(wrong)]
        versions = {answering.model.version: len(answered.asked.at) for answering, answered in made}
        return Scored(_in_order([answered for _, answered in made]), dead, b"".join(one.lines for _, one in made), versions)

    def _keys(self, messages: Sequence[Message]) -> list[str | None]:
        """The caller's own key of each message."""
        keys = [None if message.key is None else legible(message.key) for message in messages]
        if self._key is None:
            return keys
        read = self._key
        return [read(message.value) if key is None else key for key, message in zip(keys, messages, strict=True)]

    def _groups(self, asked: Asked, wrong: dict[int, SalverError]) -> list[tuple[Answering, Asked]]:
        """What each version is to answer of all that has a row. What a canary does not take is noted in `wrong`."""
        if self._split is None:
            if wrong:
                asked = asked.only([at for at in asked.at if at not in wrong])
            return [(self._default, asked)] if asked.at else []
        rows, places = [*asked.rows], dict[Answering, list[int]]()
        for at, message in enumerate(asked.messages):
            if at in wrong:
                continue
            answering = self._chosen(self._split, message, rows[at], asked.keys[at], asked.ids[at])
            try:
                if answering is not self._default:
                    rows[at] = answering.reading.row(message.value)
                places.setdefault(answering, []).append(at)
            except InputError as error:
                wrong[at] = error
        asked = asked._replace(rows=rows)
        return [(answering, asked.only(some)) for answering, some in places.items()]

    def _chosen(self, split: Split[Answering], message: Message, row: Row, key: str | None, made_id: str) -> Answering:
        """By what the route says, else by the key, or the id: a message that comes again is answered by the same version."""
        if split.header:
            named = (value for name, value in message.headers if name.lower() == split.header)
            return split.by_value(legible(next(named, None) or b""))
        return split.by_rows([row], None, [key]) if split.by_body else split.by_value(key or made_id)

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
    pairs = [pair for answered in made for pair in zip(answered.asked.at, answered.outgoing, strict=True)]
    return [outgoing for _, outgoing in sorted(pairs, key=lambda pair: pair[0])]
