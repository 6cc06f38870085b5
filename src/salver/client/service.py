"""What can be asked of a server, without I/O: each operation yields what is to be done and is sent what came of it.

    steps = service.predict([5.1, 3.5, 1.4, 0.2])
    call = next(steps)            # a Call, or a Pause
    steps.send(Reply(200, {}, …)) # StopIteration, with the Answer

`blocking.py` and `aio.py` do what is yielded; nothing else is theirs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, TypeVar, cast
from urllib.parse import quote

from .answers import Answer, Reply, answer, document, refusal
from .errors import ClientError, DeadlineExceeded, Unreachable
from .retries import Retries, Unanswered
from .tables import ARROW, Frame, from_stream, to_stream

JSON = "application/json"
TIMEOUT = "x-request-timeout-ms"
"""The header that tells the server when an answer is of no more use."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Call:
    """A request to be made. `timeout_s`: for connecting, writing and reading, each."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    content: bytes = b""
    repeatable: bool = False  # done twice, it is as done once
    timeout_s: float = 0.0


@dataclass(frozen=True)
class Pause:
    """Time to let pass."""

    seconds: float


Outcome = Reply | Unanswered | None
"""What came of a step: of a Call, its reply or none; of a Pause, nothing."""

Steps = Generator[Call | Pause, Outcome, _T]


@dataclass(frozen=True)
class Service:
    """The operations. `model` is what those mean that name none; without it, the only one that is served."""

    model: str | None = None
    timeout_s: float = 30.0
    retries: Retries = field(default_factory=Retries)
    now: Callable[[], float] = monotonic  # in seconds

    def predict(
        self,
        rows: Any,
        *,
        model: str | None = None,
        probabilities: bool = False,
        key: str | None = None,
        keys: Sequence[str | None] | None = None,
        timeout_s: float | None = None,
    ) -> Steps[Answer]:
        """The predictions for a row or several.

        A row is a list of values, in the order of the model's columns, or a dict by their names; several are a list of those.
        `key` (of a row) and `keys` (of several) are your own, by which a label finds its prediction later. Raises ClientError.
        """
        given = _plain(rows)
        body: dict[str, Any] = {"instances": given, "keys": keys} if _are_several(given) else {"features": given, "key": key}
        if (key if "instances" in body else keys) is not None:
            raise ClientError("one row has a key, several have keys")
        body = {name: value for name, value in body.items() if value is not None or name in ("features", "instances")}
        if probabilities:
            body["probabilities"] = True
        call = Call("POST", self._path(model, "/predict"), {"content-type": JSON}, _json(body))
        return answer((yield from self._made(call, timeout_s)))

    def predict_table(
        self, table: Frame, *, model: str | None = None, probabilities: bool = False, timeout_s: float | None = None
    ) -> Steps[Frame]:
        """The predictions for a table, as a table of its kind: `prediction`, the shares where asked for, and `id`.

        A DataFrame of pandas (it keeps its index) or polars, or an Arrow table. Needs pyarrow. Raises ClientError.
        """
        path = self._path(model, "/predict") + ("?probabilities=true" if probabilities else "")
        call = Call("POST", path, {"content-type": ARROW, "accept": ARROW}, to_stream(table))
        reply = yield from self._made(call, timeout_s)
        return from_stream(reply.content, table)

    def label(
        self,
        id: str | None,
        label: Any,
        *,
        key: str | None = None,
        model: str | None = None,
        weight: float | None = None,
        timeout_s: float | None = None,
    ) -> Steps[dict[str, Any]]:
        """Say what turned out to be true for a prediction, by its id, or by your own key (then `id` is None).

        What became of it is returned, in counts. Raises ClientError.
        """
        if (id is None) == (key is None):
            raise ClientError("a label is for an id, or else for a key")
        given = {"id": id, "key": key, "weight": weight}
        body = {name: value for name, value in given.items() if value is not None} | {"label": _plain(label)}
        return (yield from self._labelled(body, model, timeout_s))

    def labels(
        self,
        labels: Mapping[str, Any],
        *,
        by: str = "id",
        model: str | None = None,
        timeout_s: float | None = None,
    ) -> Steps[dict[str, Any]]:
        """Many labels in one call, by id (or, with `by="key"`, by your own key); the counts of `label`. Raises ClientError."""
        if by not in ("id", "key"):
            raise ClientError('labels go by "id" or by "key"')
        listed = [{by: name, "label": _plain(label)} for name, label in labels.items()]
        return (yield from self._labelled({"labels": listed}, model, timeout_s))

    def models(self, *, timeout_s: float | None = None) -> Steps[list[dict[str, Any]]]:
        """The models that are served. Raises ClientError."""
        reply = yield from self._made(Call("GET", "/models", repeatable=True), timeout_s)
        return document(reply)["models"]

    def describe(self, *, model: str | None = None, timeout_s: float | None = None) -> Steps[dict[str, Any]]:
        """A model: its signature, how it is served, a row that works. Raises ClientError."""
        name = yield from self._named(model, timeout_s)
        return document((yield from self._made(Call("GET", _path(name), repeatable=True), timeout_s)))

    def is_ready(self, *, timeout_s: float | None = None) -> Steps[bool]:
        """Whether every model can answer. Raises Unreachable where nobody listens."""
        reply = yield from self._tried(Call("GET", "/health/ready", repeatable=True), timeout_s, Retries(0))
        return reply.status == 200

    def _labelled(self, body: dict[str, Any], model: str | None, timeout_s: float | None) -> Steps[dict[str, Any]]:
        name = (yield from self._named(model, timeout_s)).partition("@")[0]
        call = Call("POST", _path(name) + "/labels", {"content-type": JSON}, _json(body), repeatable=True)
        return document((yield from self._made(call, timeout_s)))

    def _path(self, model: str | None, rest: str) -> str:
        name = model or self.model
        return f"{_path(name)}{rest}" if name else rest

    def _named(self, model: str | None, timeout_s: float | None) -> Steps[str]:
        """The model that is meant: where nobody said, the only one."""
        if named := model or self.model:
            return named
        names = [one["name"] for one in (yield from self.models(timeout_s=timeout_s))]
        if len(names) != 1:
            raise ClientError(f"{len(names)} models are served; say which one is meant: {', '.join(names)}")
        return names[0]

    def _made(self, call: Call, timeout_s: float | None) -> Steps[Reply]:
        reply = yield from self._tried(call, timeout_s, self.retries)
        if reply.status == 504:
            raise DeadlineExceeded(str(refusal(reply)))
        if reply.status >= 400:
            raise refusal(reply)
        return reply

    def _tried(self, call: Call, timeout_s: float | None, retries: Retries) -> Steps[Reply]:
        """The reply to a call, asked again where that is safe, as long as there is time."""
        left_s = timeout_s or self.timeout_s
        deadline_s, tried = self.now() + left_s, 0
        while True:
            headers = {**call.headers, TIMEOUT: str(max(1, int(left_s * 1000)))}
            outcome = yield replace(call, headers=headers, timeout_s=left_s)
            tried += 1
            assert outcome is not None
            pause_s = retries.pause_s(outcome, tried, call.repeatable)
            if pause_s is None or self.now() + pause_s >= deadline_s:
                return _replied(outcome)
            yield Pause(pause_s)
            left_s = deadline_s - self.now()
            if left_s <= 0:
                return _replied(outcome)


def _replied(outcome: Reply | Unanswered) -> Reply:
    if isinstance(outcome, Reply):
        return outcome
    raise DeadlineExceeded(outcome.why) if outcome.late else Unreachable(outcome.why)


def _path(model: str) -> str:
    return f"/models/{quote(model, safe='@')}"


def _plain(value: Any) -> Any:
    """Arrays of any library as lists."""
    return value.tolist() if hasattr(value, "tolist") else value


def _are_several(rows: Any) -> bool:
    if not isinstance(rows, list | tuple):
        return False
    listed = cast("Sequence[Any]", rows)
    return not listed or isinstance(listed[0], list | tuple | dict) or getattr(listed[0], "ndim", 0) > 0


def _json(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":"), default=_listed).encode()


def _listed(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise ClientError(f"a {type(value).__name__} does not go into JSON")
