"""The client that waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import Concatenate, ParamSpec, TypeVar

import httpx

from . import wire
from .answers import Reply
from .retries import Retries, Unanswered
from .service import Call, Pause, Service, Steps

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _blocking(
    operation: Callable[Concatenate[Service, _P], Steps[_T]],
) -> Callable[Concatenate[Client, _P], _T]:
    @wraps(operation)
    def call(client: Client, *given: _P.args, **named: _P.kwargs) -> _T:
        return client._run(operation(client.service, *given, **named))  # pyright: ignore[reportPrivateUsage]

    return call


class Client:
    """Asks a server. One may be shared by threads; its connections are kept alive until `close`.

    `timeout_s` is the deadline of a call, retries included; the server drops what it could only answer later. `model` is asked
    where a call names none. `http` is an httpx.Client of your own, with its address, for proxies, certificates and the like.
    """

    def __init__(
        self,
        url: str = "",
        *,
        model: str | None = None,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        retries: int = 3,
        http: httpx.Client | None = None,
    ) -> None:
        self.service = Service(model, timeout_s, Retries(retries))
        self._http = http or httpx.Client(**wire.options(url, api_key))

    def __repr__(self) -> str:
        return f"<Client {self._http.base_url}>"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    predict = _blocking(Service.predict)
    predict_table = _blocking(Service.predict_table)
    label = _blocking(Service.label)
    labels = _blocking(Service.labels)
    models = _blocking(Service.models)
    describe = _blocking(Service.describe)
    is_ready = _blocking(Service.is_ready)

    def _run(self, steps: Steps[_T]) -> _T:
        outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as done:
                return done.value
            outcome = self._answer(step) if isinstance(step, Call) else _rest(step)

    def _answer(self, call: Call) -> Reply | Unanswered:
        try:
            return wire.reply(self._http.request(**wire.request(call)))
        except httpx.TransportError as error:
            return wire.unanswered(error)


def _rest(pause: Pause) -> None:
    time.sleep(pause.seconds)
