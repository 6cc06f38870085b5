"""The client for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

import httpx

from . import wire
from .answers import Reply
from .retries import Retries, Unanswered
from .service import Call, Service, Steps

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _awaited(
    operation: Callable[Concatenate[Service, _P], Steps[_T]],
) -> Callable[Concatenate[AsyncClient, _P], Coroutine[Any, Any, _T]]:
    @wraps(operation)
    async def call(client: AsyncClient, *given: _P.args, **named: _P.kwargs) -> _T:
        return await client._run(operation(client.service, *given, **named))  # pyright: ignore[reportPrivateUsage]

    return call


class AsyncClient:
    """As Client, but each call is awaited. One belongs to one event loop; `http` is an httpx.AsyncClient."""

    def __init__(
        self,
        url: str = "",
        *,
        model: str | None = None,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        retries: int = 3,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self.service = Service(model, timeout_s, Retries(retries))
        self._http = http or httpx.AsyncClient(**wire.options(url, api_key))

    def __repr__(self) -> str:
        return f"<AsyncClient {self._http.base_url}>"

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    predict = _awaited(Service.predict)
    predict_table = _awaited(Service.predict_table)
    label = _awaited(Service.label)
    labels = _awaited(Service.labels)
    models = _awaited(Service.models)
    describe = _awaited(Service.describe)
    is_ready = _awaited(Service.is_ready)

    async def _run(self, steps: Steps[_T]) -> _T:
        outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as done:
                return done.value
            outcome = await self._answer(step) if isinstance(step, Call) else await asyncio.sleep(step.seconds)

    async def _answer(self, call: Call) -> Reply | Unanswered:
        try:
            return wire.reply(await self._http.request(**wire.request(call)))
        except httpx.TransportError as error:
            return wire.unanswered(error)
