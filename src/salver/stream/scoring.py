"""Messages in, answers out, by the version that is in force. One bad message spoils nothing but itself."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from salver.embedded.model import Awake
from salver.engine.batch import Batch, values_of
from salver.engine.recorder import Recorder
from salver.engine.request import Request
from salver.errors import InputError, PredictionFailed, SalverError, Unavailable
from salver.log.policy import Policies
from salver.stream.contract import Message, Outgoing
from salver.types.ranges import Flagger
from salver.types.rows import Row
from salver.types.signature import concatenate

ROUTE = "stream"
TRACE = "traceparent"
_TRIES = 3


class Answer(msgspec.Struct, omit_defaults=True):
    """The value of an outgoing message."""

    id: str
    model: str
    version: int
    prediction: Any
    probabilities: Any = None
    key: str | None = None
    flags: dict[str, str] | None = None


class Dead(msgspec.Struct, omit_defaults=True):
    """The value of a message in the dead-letter place; `value` is the message's own as it came."""

    id: str
    code: str
    reason: str
    source: str
    position: str
    value: str


class Scored(NamedTuple):
    """What came of some messages: answers and log lines in their order, and those that have none."""

    answers: list[Outgoing]
    dead: list[tuple[Outgoing, str]]
    lines: bytes


class _Asked(NamedTuple):
    message: Message
    id: str
    key: str | None
    row: Row


class Scoring:
    """Scores messages. Another version may take over at any time, between two calls."""

    def __init__(self, awake: Awake, source: str, key: str | None, policies: Policies | None) -> None:
        """`key` is the field with the caller's key, for messages that have none; `policies` say what the log keeps."""
        self._source = source
        self._key = key
        self._policies = policies
        self._lock = threading.Lock()
        self._decode = msgspec.json.Decoder().decode
        self._encode = msgspec.json.Encoder().encode
        self._install(awake)

    @property
    def version(self) -> int:
        return self._model.version

    def take_over(self, awake: Awake) -> None:
        """From the next call on, this version answers."""
        with self._lock:
            before = self._model
            self._install(awake)
        before.close()

    def close(self) -> None:
        with self._lock:
            self._model.close()

    def __call__(self, messages: Sequence[Message]) -> Scored:
        with self._lock:
            return self._score(messages)

    def _install(self, awake: Awake) -> None:
        self._model = model = awake.model
        self._flagger = Flagger(model.signature)
        self._recorder = None
        if self._policies is not None:
            self._policies.note(model.name, model.version, model.signature)
            rules = self._policies.of(model.name, model.signature)
            self._recorder = Recorder(model.name, model.version, model.signature, ROUTE, rules)

    def _score(self, messages: Sequence[Message]) -> Scored:
        started_ns = time.perf_counter_ns()
        asked: list[_Asked] = []
        dead: list[tuple[Outgoing, str]] = []
        for message in messages:
            made_id = self._id(message)
            try:
                row, key = self._row(message)
                asked.append(_Asked(message, made_id, key, row))
            except InputError as error:
                dead.append(self._dead(message, made_id, error))
        arrays, failed = self._ask(asked)
        dead += [self._dead(one.message, one.id, error) for one, error in failed]
        if failed:
            gone = {one.id for one, _ in failed}
            asked = [one for one in asked if one.id not in gone]
        if not asked:
            return Scored([], dead, b"")
        outputs = {output.name: values_of(output, arrays[output.name]) for output in self._model.signature.outputs}
        return Scored(self._answers(asked, outputs), dead, self._lines(asked, arrays, outputs, started_ns))

    def _row(self, message: Message) -> tuple[Row, str | None]:
        """The checked row of a message, and its key. Raises InputError."""
        try:
            value: Any = self._decode(message.value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise InputError("the message is no JSON", code="invalid_json") from None
        key = message.key
        if isinstance(value, dict):
            event: dict[str, Any] = value
            if key is None and self._key is not None and event.get(self._key) is not None:
                key = str(event[self._key])
            names = self._model.signature.names
            if len(event) != len(names):  # what else is in an event is none of the model's business
                value = {name: event[name] for name in names if name in event}
        return self._model.checker.check(value), key

    def _ask(self, asked: list[_Asked]) -> tuple[Any, list[tuple[_Asked, SalverError]]]:
        """The outputs of those that have any, and the others with what is wrong; found by halves."""
        if not asked:
            return {}, []
        tries = 0
        while True:
            try:
                return self._model.predict_rows([one.row for one in asked]), []
            except Unavailable as error:  # its process ended, and another is being started
                tries += 1
                if tries < _TRIES:
                    time.sleep(error.retry_after_s)
                    continue
                if len(asked) == 1:
                    return {}, [(asked[0], error)]
            except Exception as error:
                if len(asked) == 1:
                    return {}, [(asked[0], _blamed(error))]
            middle = len(asked) // 2
            halves = [self._ask(asked[:middle]), self._ask(asked[middle:])]
            parts = [arrays for arrays, _ in halves if arrays]
            return concatenate(parts) if parts else {}, [one for _, failed in halves for one in failed]

    def _answers(self, asked: list[_Asked], outputs: dict[str, list[Any]]) -> list[Outgoing]:
        model, signature = self._model, self._model.signature
        predictions = outputs[signature.prediction.name]
        probabilities = outputs.get("probabilities") or [None] * len(asked)
        flags = self._flagger([one.row for one in asked]) if self._flagger else [None] * len(asked)
        made: list[Outgoing] = []
        for one, prediction, shares, flag in zip(asked, predictions, probabilities, flags, strict=False):
            answer = Answer(one.id, model.name, model.version, prediction, shares, one.key, flag)
            made.append(Outgoing(self._encode(answer), one.message.key, one.message.headers))
        return made

    def _lines(self, asked: list[_Asked], arrays: Any, outputs: dict[str, list[Any]], started_ns: int) -> bytes:
        if self._recorder is None:
            return b""
        requests = [
            Request(
                rows=[one.row],
                count=1,
                size_bytes=0,
                arrived_ns=started_ns,
                source=self._source.partition(":")[0],
                keys=None if one.key is None else [one.key],
                trace=one.message.headers.get(TRACE),
            )
            for one in asked
        ]
        return self._recorder.lines(Batch(requests, arrays, outputs, [one.id for one in asked], started_ns))

    def _id(self, message: Message) -> str:
        """Always the same for the same message, so that an answer that comes twice is known: a UUID of version 8."""
        digits = hashlib.blake2b(f"{self._source}\0{message.position}".encode(), digest_size=16).hexdigest()
        return f"{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"

    def _dead(self, message: Message, made_id: str, error: SalverError) -> tuple[Outgoing, str]:
        value = message.value.decode(errors="replace")
        reason = error.message.removeprefix("row 0, ").removeprefix("row 0: ")
        told = Dead(made_id, error.code, reason, self._source, message.position, value)
        return Outgoing(self._encode(told), message.key, message.headers), error.code


def _blamed(error: Exception) -> SalverError:
    if isinstance(error, SalverError):
        return error
    return PredictionFailed(f"the model raised {type(error).__name__} on this message")
