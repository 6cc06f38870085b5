"""One version at work in a stream: checked rows in, answers and log lines out. One bad row spoils nothing but itself."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from itertools import islice, repeat
from typing import Any, NamedTuple

import msgspec

from salver.embedded.model import Awake
from salver.engine.batch import Batch, values_of
from salver.engine.recorder import Recorder
from salver.engine.request import Request
from salver.errors import PredictionFailed, SalverError, Unavailable
from salver.log.policy import Policies
from salver.stream.contract import Headers, Message, Outgoing, legible
from salver.stream.reading import Reading
from salver.types.policies import Flags
from salver.types.ranges import Flagger
from salver.types.rows import Row
from salver.types.signature import Columns, concatenate

TRACE = "traceparent"
_TRIES = 3


class Answer(msgspec.Struct, omit_defaults=True, gc=False):
    """The value of an outgoing message."""

    id: str
    model: str
    version: int
    prediction: Any
    probabilities: Any = None
    key: str | None = None
    flags: dict[str, str] | None = None


class Asked(NamedTuple):
    """Messages for one version by column: their places among those that were taken together, and what came of them so far."""

    at: Sequence[int]
    messages: Sequence[Message]
    ids: Sequence[str]
    keys: Sequence[str | None]
    rows: Sequence[Row]

    def only(self, places: Sequence[int]) -> Asked:
        """Those that stand at these places here."""
        columns: list[Sequence[Any]] = [*self]
        return Asked(*([column[place] for place in places] for column in columns))


class Origin(msgspec.Struct, gc=False):
    """Where a row came from, as the log says it."""

    source: str
    arrived_ns: int
    trace: str | None


class Answered(NamedTuple):
    """What a version made of rows: the outgoing messages in their order, those that failed, and what there is to log."""

    asked: Asked
    outgoing: list[Outgoing]
    failed: dict[int, SalverError]  # by the place among all that were taken together
    lines: bytes
    batch: Batch | None


class Answering:
    """One version, on one route."""

    def __init__(self, awake: Awake, route: str, source: str, policies: Policies | None) -> None:
        self.model = model = awake.model
        self.reading = Reading(model.signature, model.checker)
        self.prediction = model.signature.prediction.name
        self._source = source
        self._flagger = Flagger(model.signature)
        self._encode_lines = msgspec.json.Encoder().encode_lines
        self._recorder = None
        if policies is not None:
            policies.note(model.name, model.version, model.signature)
            rules = policies.of(model.name, model.signature)
            self._recorder = Recorder(model.name, model.version, model.signature, route, rules)

    def __call__(self, asked: Asked) -> Answered:
        started_ns = time.perf_counter_ns()
        arrays, wrong = self._ask(asked.rows)
        failed = {asked.at[place]: error for place, error in wrong.items()}
        if wrong:
            asked = asked.only([place for place in range(len(asked.rows)) if place not in wrong])
        if not asked.rows:
            return Answered(asked, [], failed, b"", None)
        outputs = {output.name: values_of(output, arrays[output.name]) for output in self.model.signature.outputs}
        request = Request(
            rows=[*asked.rows],
            count=len(asked.rows),
            size_bytes=0,
            arrived_ns=started_ns,
            source=self._source,
            keys=[*asked.keys],
        )
        batch = Batch([request], arrays, outputs, [*asked.ids], started_ns)
        flags = [*islice(self._flagger(asked.rows), len(asked.rows))] if self._flagger else [None] * len(asked.rows)
        return Answered(asked, self._outgoing(asked, outputs, flags), failed, self._lines(asked, batch, flags), batch)

    def _ask(self, rows: Sequence[Row]) -> tuple[Columns, dict[int, SalverError]]:
        """The outputs of the rows that have any, and what is wrong with the others, by their place; found by halves."""
        tries = 0
        while True:
            try:
                return self.model.predict_rows([*rows]), {}
            except Unavailable as error:  # its process ended, and another is being started
                tries += 1
                if tries < _TRIES:
                    time.sleep(error.retry_after_s)
                    continue
                if len(rows) == 1:
                    return {}, {0: error}
            except Exception as error:
                if len(rows) == 1:
                    return {}, {0: _blamed(error)}
            middle = len(rows) // 2
            (first, wrong), (second, more) = self._ask(rows[:middle]), self._ask(rows[middle:])
            parts = [arrays for arrays in (first, second) if arrays]
            wrong |= {middle + place: error for place, error in more.items()}
            return concatenate(parts) if parts else {}, wrong

    def _outgoing(self, asked: Asked, outputs: dict[str, list[Any]], flags: Iterable[Flags | None]) -> list[Outgoing]:
        name, version = self.model.name, self.model.version
        predictions = outputs[self.prediction]
        probabilities = outputs.get("probabilities") or repeat(None)
        columns = zip(asked.ids, predictions, probabilities, asked.keys, flags, strict=False)
        values = self._encode_lines(
            [
                Answer(made_id, name, version, prediction, shares, key, flag)
                for made_id, prediction, shares, key, flag in columns
            ]
        ).split(b"\n")
        return [
            Outgoing(value, message.key, message.headers, made_id)
            for value, message, made_id in zip(values, asked.messages, asked.ids, strict=False)
        ]

    def _lines(self, asked: Asked, batch: Batch, flags: Iterable[Flags | None]) -> bytes:
        """What the log keeps of them."""
        if self._recorder is None:
            return b""
        source, arrived_ns = self._source, batch.started_ns
        origins = [Origin(source, arrived_ns, _trace(message.headers)) for message in asked.messages]
        return self._recorder.lines_of(batch, origins, asked.rows, asked.keys, flags)


def _trace(headers: Headers) -> str | None:
    for name, value in headers:
        if name == TRACE:
            return None if value is None else legible(value)
    return None


def _blamed(error: Exception) -> SalverError:
    if isinstance(error, SalverError):
        return error
    return PredictionFailed(f"the model raised {type(error).__name__} on this message")
