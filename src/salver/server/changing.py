"""Changing a route over HTTP: the verbs of the command line. Every server of the store follows, this one at its next look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as HttpRoute

from salver.engine.engine import Engine
from salver.errors import InputError, NotFound
from salver.registry.registry import Registry
from salver.registry.route import CHAMPION, Route
from salver.server import reading
from salver.server.access import WHO
from salver.server.body import read_body
from salver.types.reference import Reference


class Change(msgspec.Struct, forbid_unknown_fields=True):
    """What a verb may be told. Each takes `why`, and `by` where no key says who it is."""

    alias: str = CHAMPION
    percent: float | None = None
    sticky: str = ""
    other_columns: bool = False
    by: str = ""
    why: str = ""


Verb = Callable[[Registry, str, Change], Route]
_decoder = msgspec.json.Decoder(Change)


def _promote(registry: Registry, reference: str, change: Change) -> Route:
    return registry.promote(reference, change.alias, other_columns=change.other_columns, by=change.by, why=change.why)


def _rollback(registry: Registry, reference: str, change: Change) -> Route:
    return registry.rollback(Reference.parse(reference).name, change.alias, by=change.by, why=change.why)


def _canary(registry: Registry, reference: str, change: Change) -> Route:
    if change.percent is None:
        raise InputError('a canary needs its share: {"percent": 5}', code="invalid_body")
    return registry.canary(
        reference, change.percent, change.sticky, other_columns=change.other_columns, by=change.by, why=change.why
    )


def _end_canary(registry: Registry, reference: str, change: Change) -> Route:
    return registry.end_canary(reference, by=change.by, why=change.why)


def _shadow(registry: Registry, reference: str, change: Change) -> Route:
    return registry.shadow(reference, by=change.by, why=change.why)


def _end_shadow(registry: Registry, reference: str, change: Change) -> Route:
    return registry.end_shadow(reference, by=change.by, why=change.why)


ROUTED: dict[str, dict[str, Verb]] = {
    "promote": {"POST": _promote},
    "rollback": {"POST": _rollback},
    "canary": {"POST": _canary, "DELETE": _end_canary},
    "shadow": {"POST": _shadow, "DELETE": _end_shadow},
}
"""What changes a route: by the last part of the path, and the method."""


class RouteFace:
    """The routes that read and change a model's route."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def routes(self) -> list[HttpRoute]:
        return [
            HttpRoute("/models/{ref}/route", self.show),
            HttpRoute("/models/{ref}/promote", self._does(ROUTED["promote"]), methods=["POST"]),
            HttpRoute("/models/{ref}/rollback", self._does(ROUTED["rollback"]), methods=["POST"]),
            HttpRoute("/models/{ref}/canary", self._does(ROUTED["canary"]), methods=["POST", "DELETE"]),
            HttpRoute("/models/{ref}/shadow", self._does(ROUTED["shadow"]), methods=["POST", "DELETE"]),
        ]

    async def show(self, http: Request) -> Response:
        """The route in force in the registry, and every one before it."""
        registry, name = self._of(http)
        history = await asyncio.to_thread(registry.history, name)
        return JSONResponse(
            {"name": name, "route": _told(history[-1] if history else Route()), "history": [*map(_told, history)]}
        )

    def _does(self, verbs: dict[str, Verb]) -> Callable[[Request], Any]:
        async def handle(http: Request) -> Response:
            registry, name = self._of(http)
            body = await read_body(http)
            change = reading.read(_decoder, body or b"{}", http.app.state.limits)
            change.by = http.scope.get(WHO) or change.by
            route = await asyncio.to_thread(verbs[http.method], registry, http.path_params["ref"], change)
            return JSONResponse({"name": name, "route": _told(route)})

        return handle

    def _of(self, http: Request) -> tuple[Registry, str]:
        name = Reference.parse(http.path_params["ref"]).name
        if self._engine.registry is None or name not in self._engine.lifecycles:
            raise NotFound(
                f"'{name}' has no route here: it is no model of the registry that this server follows", code="unknown_model"
            )
        return self._engine.registry, name


def _told(route: Route) -> Any:
    return msgspec.to_builtins(route, str_keys=True)
