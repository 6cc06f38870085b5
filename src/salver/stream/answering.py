"""One version at work in a stream: checked rows in, answers and log lines out. One bad row spoils nothing but itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from salver.embedded.model import Awake
from salver.engine.batch import Batch, values_of
from salver.engine.recorder import Recorder
from salver.engine.request import Request
from salver.errors import PredictionFailed, SalverError, Unavailable
from salver.log.policy import Policies
from salver.stream.contract import Message, Outgoing, legible
from salver.types.ranges import Flagger
from salver.types.rows import Row, are_finite
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
    """A message whose row is checked; `at` is its place among those that were taken together."""

    at: int
    message: Message
    id: str
    key: str | None
    row: Row


class Answered(NamedTuple):
    """What a version made of rows: the outgoing messages in their order, those that failed, and what there is to log."""

    asked: list[Asked]
    outgoing: list[Outgoing]
    failed: list[tuple[Asked, SalverError]]
    lines: bytes
    batch: Batch | None


class Answering:
    """One version, on one route."""

    def __init__(self, awake: Awake, route: str, source: str, policies: Policies | None) -> None:
        self.model = model = awake.model
        self._checker, self._names = model.checker, model.signature.names
        self.prediction = model.signature.prediction.name
        self._source = source
        self._flagger = Flagger(model.signature)
        self._encode = msgspec.json.Encoder().encode
        self._recorder = None
        if policies is not None:
            policies.note(model.name, model.version, model.signature)
            rules = policies.of(model.name, model.signature)
            self._recorder = Recorder(model.name, model.version, model.signature, route, rules)

    def row(self, value: Any) -> Row:
        """The checked row of what a message holds. Raises InputError."""
        if isinstance(value, dict):
            event: dict[str, Any] = value
            named = {name: event[name] for name in self._names if name in event}  # the rest is none of the model's business
            if self._checker.all_plain and len(named) == len(self._names) and are_finite(values := list(named.values())):
                return self._checker.check_plain(values)
            value = named
        return self._checker.check(value)

    def __call__(self, asked: list[Asked]) -> Answered:
        started_ns = time.perf_counter_ns()
        arrays, failed = self._ask(asked)
        if failed:
            gone = {one.at for one, _ in failed}
            asked = [one for one in asked if one.at not in gone]
        if not asked:
            return Answered([], [], failed, b"", None)
        outputs = {output.name: values_of(output, arrays[output.name]) for output in self.model.signature.outputs}
        batch = Batch(self._requests(asked, started_ns), arrays, outputs, [one.id for one in asked], started_ns)
        lines = b"" if self._recorder is None else self._recorder.lines(batch)
        return Answered(asked, self._outgoing(asked, outputs), failed, lines, batch)

    def _ask(self, asked: Sequence[Asked]) -> tuple[Columns, list[tuple[Asked, SalverError]]]:
        """The outputs of those that have any, and the others with what is wrong; found by halves."""
        tries = 0
        while True:
            try:
                return self.model.predict_rows([one.row for one in asked]), []
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

    def _outgoing(self, asked: list[Asked], outputs: dict[str, list[Any]]) -> list[Outgoing]:
        name, version, encode = self.model.name, self.model.version, self._encode
        predictions = outputs[self.prediction]
        probabilities = outputs.get("probabilities") or [None] * len(asked)
        flags = self._flagger([one.row for one in asked]) if self._flagger else [None] * len(asked)
        return [
            Outgoing(
                encode(Answer(made_id, name, version, prediction, shares, key, flag)), message.key, message.headers, made_id
            )
            for (_, message, made_id, key, _), prediction, shares, flag in zip(
                asked, predictions, probabilities, flags, strict=False
            )
        ]

    def _requests(self, asked: list[Asked], started_ns: int) -> list[Request]:
        """One a message where any has a trace, else one for all."""
        if not any(TRACE in one.message.headers for one in asked):
            return [self._request(asked, None, started_ns)]
        return [self._request([one], one.message.headers.get(TRACE), started_ns) for one in asked]

    def _request(self, asked: list[Asked], trace: str | None, started_ns: int) -> Request:
        return Request(
            rows=[one.row for one in asked],
            count=len(asked),
            size_bytes=0,
            arrived_ns=started_ns,
            source=self._source,
            keys=[one.key for one in asked],
            trace=None if trace is None else legible(trace),
        )


def _blamed(error: Exception) -> SalverError:
    if isinstance(error, SalverError):
        return error
    return PredictionFailed(f"the model raised {type(error).__name__} on this message")
