"""SageMaker's endpoints of several models: it lists, loads, asks and lets go the models that the server was started with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from salver.errors import InputError, SalverError
from salver.server import reading
from salver.server.access import Gate, guard
from salver.server.body import read_body
from salver.server.protocols import repository
from salver.server.protocols.codecs import Codecs
from salver.server.settings import Protocols
from salver.types.reference import Reference

_PAGE = 100
_MODELS, _MODEL = "/models", "/models/{model}"
_REPOSITORY = "/v2/repository/models/{model}"

Handler = Callable[[Request], Awaitable[Response]]


class _Load(msgspec.Struct):
    model_name: str
    url: str = ""


_load_decoder = msgspec.json.Decoder(_Load)


class SageMakerFace:
    """The handlers. `invocations` answers for the model that is in the path."""

    def __init__(self, codecs: Codecs, protocols: Protocols, invocations: Handler) -> None:
        self._codecs = codecs
        self._engine = codecs.engine
        self._here = protocols.invocations == "sagemaker"
        self._invocations = invocations

    def routes(self, gate: Gate) -> list[Route]:
        """The routes, in its containers, behind the gate: who may ask is as on the routes that do the same elsewhere."""
        if not self._here:
            return []
        return [
            *guard([Route(_MODELS, self.listed)], gate),
            *guard([Route(_MODELS, self.load, methods=["POST"])], gate, f"{_REPOSITORY}/load"),
            *guard([Route(_MODEL, self.shown)], gate, "/models/{ref}"),
            *guard([Route(_MODEL, self.unload, methods=["DELETE"])], gate, f"{_REPOSITORY}/unload"),
            *guard([Route(f"{_MODEL}/invoke", self._invocations, methods=["POST"])], gate, "/models/{ref}/predict"),
        ]

    async def listed(self, http: Request) -> Response:
        limit, token = http.query_params.get("limit", str(_PAGE)), http.query_params.get("next_page_token", "0")
        if not (limit.isdecimal() and token.isdecimal() and 0 < int(limit) <= _PAGE):
            raise InputError(f"limit is a number from 1 to {_PAGE}, next_page_token what was answered", code="invalid_body")
        names, end = sorted(self._engine.lanes), int(token) + int(limit)
        answer: dict[str, Any] = {"models": [self._described(name) for name in names[int(token) : end]]}
        return _json(answer | ({"nextPageToken": str(end)} if end < len(names) else {}))

    async def shown(self, http: Request) -> Response:
        return _json(self._described(_named(http)))

    async def load(self, http: Request) -> Response:
        asked = reading.read(_load_decoder, await read_body(http), self._codecs.limits)
        name = Reference.parse(asked.model_name).name
        if name in self._engine.lanes:
            raise SalverError(f"model '{name}' is loaded", code="already_loaded")
        await repository.load(self._engine, name)
        return _json(self._described(name))

    async def unload(self, http: Request) -> Response:
        name = _named(http)
        described = self._described(name)
        await repository.unload(self._engine, name)
        return _json(described)

    def _described(self, name: str) -> dict[str, str]:
        lane = self._engine.find(Reference(name))
        return {"modelName": name, "modelUrl": f"{name}@{lane.model.version}"}


def _named(http: Request) -> str:
    return Reference.parse(http.path_params["model"]).name


def _json(content: Any) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")
