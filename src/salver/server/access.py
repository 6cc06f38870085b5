"""What each route asks of its callers, and the gate that every face passes before it does anything.

A route that is not in the table wants the scope `manage` for all models: whoever adds one and forgets it here has locked it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from salver.door import key as door_key
from salver.door.audit import Audit, Entry
from salver.door.bucket import Bucket
from salver.door.key import ALL, Key
from salver.door.ring import Ring, shown_in
from salver.engine.engine import Engine
from salver.errors import Forbidden, NotFound, RateLimited, SalverError
from salver.server.problems import status_of
from salver.server.settings import Settings

Wants = Literal["nothing", "a key", "metrics", "docs", "sign in", "read", "read some", "predict", "label", "manage"]
"""`read some`: of the models that the key is for, which the page is limited to."""

ACCESS: dict[str, Wants] = {
    "/health/live": "nothing",
    "/health/ready": "nothing",
    "/metrics": "metrics",
    "/docs": "docs",
    "/openapi.json": "docs",
    "/predict": "predict",
    "/models": "predict",
    "/models/{ref}": "predict",
    "/models/{ref}/predict": "predict",
    "/models/{ref}/route": "predict",
    "/models/{ref}/promote": "manage",
    "/models/{ref}/rollback": "manage",
    "/models/{ref}/canary": "manage",
    "/models/{ref}/shadow": "manage",
    "/models/{ref}/erase": "manage",
    "/models/{ref}/labels": "label",
    "/models/{ref}/accuracy": "label",
    "/": "nothing",
    "/ui": "read some",
    "/ui/login": "sign in",
    "/ui/logout": "sign in",
    "/ui/static/{file}": "sign in",
    "/ui/alarms": "read some",
    "/ui/models/{ref}": "read",
    "/ui/models/{ref}/do/{verb}": "manage",
    "/ui/models/{ref}/try": "read",
    "/ui/models/{ref}/predictions/{id}": "read",
    "/ui/models/{ref}/{page}": "read",
    "/v1/models": "predict",
    "/v1/models/{model}": "predict",
    "/v1/models/{model}/metadata": "predict",
    "/v1/models/{model}:predict": "predict",
    "/v1/models/{model}/versions/{version}": "predict",
    "/v1/models/{model}/versions/{version}/metadata": "predict",
    "/v1/models/{model}/versions/{version}:predict": "predict",
    "/v1/models/{model}/labels/{label}": "predict",
    "/v1/models/{model}/labels/{label}/metadata": "predict",
    "/v1/models/{model}/labels/{label}:predict": "predict",
    "/v1/models/{model}:{verb}": "predict",
    "/v1/models/{model}/versions/{version}:{verb}": "predict",
    "/v1/models/{model}/labels/{label}:{verb}": "predict",
    "/ping": "nothing",
    "/health": "nothing",
    "/version": "a key",
    "/execution-parameters": "nothing",
    "/invocations": "predict",
    "/v2": "a key",
    "/v2/": "a key",
    "/v2/health/live": "nothing",
    "/v2/health/ready": "nothing",
    "/v2/models": "predict",
    "/v2/models/stats": "predict",
    "/v2/models/{model}": "predict",
    "/v2/models/{model}/ready": "predict",
    "/v2/models/{model}/stats": "predict",
    "/v2/models/{model}/infer": "predict",
    "/v2/models/{model}/versions/{version}": "predict",
    "/v2/models/{model}/versions/{version}/ready": "predict",
    "/v2/models/{model}/versions/{version}/stats": "predict",
    "/v2/models/{model}/versions/{version}/infer": "predict",
    "/v2/models/{model}/config": "predict",
    "/v2/models/{model}/versions/{version}/config": "predict",
    "/v2/repository/index": "predict",
    "/v2/repository/models/{model}/load": "manage",
    "/v2/repository/models/{model}/unload": "manage",
}
"""By the template of the route."""

WHO = "salver.who"
"""Where a scope has the name of the caller's key, if there is one."""
KEY = "salver.key"
"""Where it has the key itself, or None."""

_SHORT = frozenset(("/predict", "/invocations"))
"""Routes that mean the only model that is served, or the default one."""

_SCOPES: dict[Wants, door_key.Scope] = {
    "read": "read",
    "read some": "read",
    "predict": "predict",
    "label": "label",
    "manage": "manage",
}
_PARAMETERS = ("ref", "model", "name")
_READS = frozenset(("GET", "HEAD"))
_HERE = frozenset(("localhost", "127.0.0.1", "::1"))

Headers = Iterable[tuple[bytes, bytes]]


class Visit(NamedTuple):
    """Somebody at the door: the method and the template of the route, the parts of the path, where from."""

    method: str
    template: str
    parameters: dict[str, Any]
    address: str

    @property
    def wants(self) -> Wants:
        return ACCESS.get(self.template, "manage")

    @property
    def model(self) -> str | None:
        """The model that the path names."""
        named = next((self.parameters[name] for name in _PARAMETERS if name in self.parameters), None)
        return None if named is None else str(named).partition("@")[0]


class Gate:
    """Lets callers in, or raises: Unauthenticated, Forbidden, RateLimited, NotFound for a route that is switched off."""

    def __init__(self, ring: Ring, audit: Audit | None, settings: Settings, engine: Engine) -> None:
        self.ring = ring
        self.audit = audit
        self.refusals: Counter[str] = Counter()  # by their code
        self._settings = settings
        self._engine = engine

    @property
    def manages(self) -> bool:
        """Whether anybody may change here what is served."""
        return self._settings.access.manage != "off"

    def enter(self, headers: Headers, visit: Visit) -> Key | None:
        """The key of a caller who may do that; None where none is needed. It has not been counted."""
        try:
            return self._entered(headers, visit)
        except SalverError as error:
            self.refusals[error.code] += 1
            if self.audit:
                who = error.who if isinstance(error, Forbidden) else ""
                self.audit.refused(_entry("refused", visit, who, status_of(error), error.code))
            raise

    def count(self, key: Key | None) -> None:
        """Count one request of a key. Raises RateLimited."""
        bucket, now_ns = self.ring.bucket(key), time.perf_counter_ns()
        if bucket and not bucket.take(now_ns):
            raise self.too_fast(bucket, now_ns)

    def too_fast(self, bucket: Bucket, now_ns: int) -> RateLimited:
        """The refusal of a key whose bucket is empty."""
        self.refusals["rate_limited"] += 1
        return RateLimited("this key asks faster than it may; try again a little later", retry_after_s=bucket.wait_s(now_ns))

    def did(self, visit: Visit, key: Key | None, status: int) -> None:
        """Put on record what was changed or labelled."""
        if self.audit:
            self.audit.write(_entry("called", visit, key.name if key else "", status))

    def _entered(self, headers: Headers, visit: Visit) -> Key | None:
        wants, access = visit.wants, self._settings.access
        who = {
            "nothing": "open",
            "metrics": access.metrics,
            "docs": access.docs,
            "manage": access.manage,
            "read": access.dashboard,
            "read some": access.dashboard,
            "sign in": "off" if access.dashboard == "off" else "open",
        }.get(wants, "key")
        if who == "off":
            raise NotFound("no such route; GET /docs lists them")
        if who == "open":
            return None
        if not self.ring.closed:
            self._require_origin(headers, visit)
            return None
        return self.ring.enter(shown_in(headers), _SCOPES.get(wants), self._about(visit))

    def _about(self, visit: Visit) -> str | None:
        if visit.wants in ("a key", "read some"):
            return None
        return visit.model or (visit.template in _SHORT and self._engine.short_name) or ALL

    def _require_origin(self, headers: Headers, visit: Visit) -> None:
        """A server without keys believes whoever reaches it: a page from elsewhere in a browser on this machine does too."""
        origin = next((value.decode("latin-1") for name, value in headers if name == b"origin"), None)
        if origin is None or visit.method in _READS or {origin, "*"} & set(self._settings.cors.origins):
            return
        if urlsplit(origin).hostname not in _HERE:
            raise Forbidden("pages of that origin may not ask this server: set cors.origins", code="forbidden_origin")


class _Guarded:
    """The app of one route, behind the gate."""

    def __init__(self, app: ASGIApp, template: str, gate: Gate) -> None:
        self._app = app
        self._template = template
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = (scope.get("client") or ("",))[0]
        visit = Visit(scope["method"], self._template, scope.get("path_params", {}), address)
        key = self._gate.enter(scope["headers"], visit)
        self._gate.count(key)
        scope[WHO] = key.name if key else ""
        scope[KEY] = key
        if visit.wants not in ("label", "manage") or visit.method in _READS:
            await self._app(scope, receive, send)
            return
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except SalverError as error:
            status = status_of(error)
            raise
        finally:
            self._gate.did(visit, key, status)


def guard(routes: list[Route], gate: Gate, template: str = "") -> list[Route]:
    """The same routes, each behind the gate, and asking what the route of `template` asks where their own are made up."""
    for route in routes:
        route.app = _Guarded(route.app, template or route.path, gate)
    return routes


def _entry(event: str, visit: Visit, who: str, status: int, code: str = "") -> Entry:
    what, model = f"{visit.method} {visit.template}", visit.model or ""
    return Entry(
        event=event,
        who=who,
        what=what,
        model=model if event == "called" else "",  # of a refused caller, nothing is kept that they made up
        address=visit.address,
        status=status,
        code=code,
    )
