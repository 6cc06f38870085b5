"""What the dashboard's forms do: change a route, as `POST /models/NAME/promote` does, and ask a model, as `/predict` does."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from salver.engine.engine import Engine
from salver.errors import Forbidden, InputError, InUse, NotFound, SalverError
from salver.registry.registry import Registry
from salver.server.access import KEY, WHO
from salver.server.asking import ask
from salver.server.changing import ROUTED, Change, Verb
from salver.server.hot_routes import HotRoutes
from salver.server.problems import status_of
from salver.types.reference import Reference

if TYPE_CHECKING:
    from salver.server.dashboard import DashboardFace

_VERBS: dict[str, Verb] = {
    "promote": ROUTED["promote"]["POST"],
    "rollback": ROUTED["rollback"]["POST"],
    "canary": ROUTED["canary"]["POST"],
    "end-canary": ROUTED["canary"]["DELETE"],
    "shadow": ROUTED["shadow"]["POST"],
    "end-shadow": ROUTED["shadow"]["DELETE"],
}
"""By the last part of the path."""


class Forms:
    """The routes that take forms about a model."""

    def __init__(self, face: DashboardFace, engine: Engine, routes: HotRoutes) -> None:
        self._face = face
        self._engine = engine
        self._routes = routes

    def routes(self) -> list[Route]:
        both = ["GET", "POST"]
        return [
            Route("/ui/models/{ref}/do/{verb}", self.act, methods=both),
            Route("/ui/models/{ref}/try", self.try_it, methods=both),
        ]

    async def act(self, http: Request) -> Response:
        """Ask whether it is meant; when it is, change the route."""
        verb = http.path_params["verb"]
        name = Reference.parse(http.path_params["ref"]).name
        registry = self._engine.registry
        if verb not in _VERBS or registry is None or name not in self._engine.lifecycles:
            raise NotFound(f"'{name}' has no route here: it is no model of the registry that this server follows")
        page = f"/models/{name}/do/{verb}"
        if http.method == "GET":
            return await self._face.form(http, page, {})
        form = await self._face.taken(http)
        try:
            change = Change(
                percent=_percent(form.get("percent", "")),
                other_columns=bool(form.get("other_columns")),
                by=http.scope[WHO],
                why=form.get("why", "")[:200],
            )
            await asyncio.to_thread(_change, registry, name, verb, form, change)
        except SalverError as error:
            given = {
                "error": error.message,
                "why": form.get("why", ""),
                "percent": form.get("percent", ""),
                "status": status_of(error),
            }
            return await self._face.form(http, page, given)
        self._face.changed()
        return RedirectResponse(f"/ui/models/{name}?done={verb}", 303, self._face.headers)

    async def try_it(self, http: Request) -> Response:
        """A form with a real row; when it is sent, the answer beside it."""
        key = http.scope[KEY]
        if key is not None and "predict" not in key.scopes:
            raise Forbidden("this key may look and not predict; trying needs the scope predict too", who=key.name)
        name = Reference.parse(http.path_params["ref"]).name
        lane = self._engine.find(Reference(name))
        signature = lane.model.signature
        given: dict[str, Any] = {
            "signature": msgspec.to_builtins(signature),
            "example": lane.model.artifact.golden.rows[0],
            "version": lane.model.version,
            "url": str(http.base_url).rstrip("/"),
        }
        page = f"/models/{name}/try"
        if http.method == "GET":
            return await self._face.form(http, page, given)
        from salver.dashboard.trying import row_of

        row = row_of(signature, await self._face.taken(http))
        given["row"] = row
        try:
            given["answer"] = await self._asked(http, name, row)
        except SalverError as error:
            given |= {"error": error.message, "status": status_of(error)}
        return await self._face.form(http, page, given)

    async def _asked(self, http: Request, name: str, row: dict[str, Any]) -> dict[str, Any]:
        started_ns = time.perf_counter_ns()
        reference = Reference(name)
        split = self._engine.split(reference)
        lane = self._engine.find(reference) if split is None else split.default
        with lane.held():
            codec = self._routes.native(lane)
            shares = lane.model.signature.output("probabilities") is not None
            body = msgspec.json.encode({"features": row, **({"probabilities": True} if shares else {})})
            rows, form, keys = codec.question(body)
            batch, start = await ask(
                http, lane, arrived_ns=started_ns, size_bytes=len(body), count=len(rows), rows=rows, keys=keys
            )  # fmt: skip
        answer: dict[str, Any] = msgspec.json.decode(codec.answer(form, batch, start, len(rows)))
        return {**answer, "took_s": (time.perf_counter_ns() - started_ns) / 1e9}


def _change(registry: Registry, name: str, verb: str, form: dict[str, str], change: Change) -> None:
    """Raises InUse when somebody else changed the route since the page was shown, and what the verb raises."""
    if str(registry.route(name).number) != form.get("number"):
        raise InUse("somebody else has changed the route meanwhile: this is how it is now; send it again if it is still meant")
    version = form.get("version", "")
    _VERBS[verb](registry, f"{name}@{version}" if version else name, change)


def _percent(text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise InputError("a share is a number of percent", code="invalid_body") from None
