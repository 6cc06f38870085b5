"""GET /ui and below: who may see the dashboard, what its forms do. The pages are made by a process of their own (`pages.py`).

With API keys, a browser signs in with one, which it keeps in a cookie that no script reads and no other site's page sends.
Whatever changes something needs a token too, which is in the form and in another such cookie.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from salver.engine.engine import Engine
from salver.errors import Forbidden, NotFound, SalverError, Unauthenticated
from salver.log.writer import Writer
from salver.server.access import KEY, WHO, guard
from salver.server.asking import ClientGone, disconnected
from salver.server.body import read_body
from salver.server.forms import Forms
from salver.server.pages import PageProcess
from salver.server.problems import TITLES, headers_of, status_of

if TYPE_CHECKING:
    from salver.dashboard.messages import Caller, Facts, Page
    from salver.server.entrance import Entrance
    from salver.server.metrics import Metrics

UI = "/ui"
COOKIE = "salver-key"
TOKEN = "salver-form"
_SIGNED_IN_S = 12 * 3600
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}
_TYPES = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "txt": "text/plain"}


class DashboardFace:
    """The routes of the dashboard."""

    headers = _HEADERS

    def __init__(self, engine: Engine, log: Writer | None, entrance: Entrance, metrics: Metrics) -> None:
        self._engine = engine
        self._gate = entrance.gate
        self._hot = entrance.routes
        self._metrics = metrics
        self._started_s = time.time()
        self._process = PageProcess(str(log.folder) if log else "", self._store, self._facts)

    def routes(self) -> list[Route]:
        """Behind the gate, which takes the cookie's key for a header's."""
        both = ["GET", "POST"]
        made = guard(
            [
                Route(UI, self.show),
                Route("/ui/login", self.sign_in, methods=both),
                Route("/ui/logout", self.sign_out, methods=["POST"]),
                Route("/ui/static/{file}", self.asset),
                Route("/ui/alarms", self.show),
                *Forms(self, self._engine, self._hot).routes(),
                Route("/ui/models/{ref}", self.show),
                Route("/ui/models/{ref}/{page}", self.show),
                Route("/ui/models/{ref}/predictions/{id}", self.show),
            ],
            self._gate,
        )
        for route in made:
            route.app = _Door(route.app, self)
        return made

    async def show(self, http: Request) -> Response:
        """A page that changes nothing. A browser that would wait for the process to start is shown that it does."""
        if "text/html" in http.headers.get("accept", "") and self._process.woken():
            from salver.dashboard.assets import frame

            return Response(frame(), headers=_HEADERS, media_type="text/html")
        page = http.url.path.removeprefix(UI) or "/"
        making = asyncio.ensure_future(self._process.page(page, http.url.query, self._caller(http)))
        leaving = asyncio.ensure_future(disconnected(http))
        try:
            await asyncio.wait((making, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            if not making.done():
                making.cancel()
        if making.cancelled() or not making.done():
            raise ClientGone
        return _html(making.result())

    async def asset(self, http: Request) -> Response:
        """A script, a style, an image: as they were shipped."""
        from salver.dashboard.assets import shipped

        name = http.path_params["file"]
        content = shipped().get(name)
        if content is None:
            raise NotFound("there is no such file")
        fresh = "public, max-age=31536000, immutable" if http.query_params.get("v") else "no-cache"
        headers = {"cache-control": fresh, "x-content-type-options": "nosniff"}
        return Response(content, headers=headers, media_type=_TYPES[name.rpartition(".")[2]])

    async def sign_in(self, http: Request) -> Response:
        """Take a key that opens the dashboard, and keep it in a cookie."""
        if http.method == "GET":
            return await self.form(http, "/login", {"next": _inside(http.query_params.get("next", UI)), "error": ""})
        form = await self.taken(http)
        target = _inside(form.get("next", UI))
        shown = form.get("key", "").strip()
        try:
            self._gate.ring.enter([shown], "read", None)
        except SalverError as error:
            said = (
                "This key does not open the dashboard: it needs the scope read."
                if isinstance(error, Forbidden)
                else "This is no key that holds."
            )
            return await self.form(http, "/login", {"next": target, "error": said, "status": status_of(error)})
        answer = RedirectResponse(target, 303, _HEADERS)
        _keep(http, answer, COOKIE, shown, _SIGNED_IN_S)
        return answer

    async def sign_out(self, http: Request) -> Response:
        require_same_origin(http)
        answer = RedirectResponse("/ui/login", 303, _HEADERS)
        answer.delete_cookie(COOKIE, UI, httponly=True, samesite="strict")
        return answer

    async def form(self, http: Request, page: str, given: dict[str, Any]) -> Response:
        """A page with a form: its token goes into a cookie too."""
        token = http.cookies.get(TOKEN) or secrets.token_urlsafe(18)
        made = await self._process.ask(page, http.url.query, self._caller(http), {**given, "token": token})
        answer = _html(made)
        if TOKEN not in http.cookies:
            _keep(http, answer, TOKEN, token)
        return answer

    async def taken(self, http: Request) -> dict[str, str]:
        """A form that was sent from a page of ours. Raises Forbidden."""
        require_same_origin(http)
        form = dict(parse_qsl((await read_body(http)).decode(errors="replace"), keep_blank_values=True))
        if not hmac.compare_digest(form.pop("token", "").encode(), http.cookies.get(TOKEN, "-").encode()):
            raise Forbidden("this form is too old; go back, load its page again and send it once more")
        return form

    def changed(self) -> None:
        """Whoever looks now sees what was done."""
        self._process.forget()

    async def failed(self, http: Request, error: SalverError) -> Response:
        """An error as a page; where a key is missing, the page that asks for one."""
        if isinstance(error, Unauthenticated) and http.method == "GET":
            here = http.url.path + (f"?{http.url.query}" if http.url.query else "")
            return RedirectResponse(f"/ui/login?next={quote(here, safe='/')}", 303, _HEADERS)
        status = status_of(error)
        given = {"title": TITLES[status], "error": error.message, "status": status}
        answer = _html(await self._process.ask("/failed", "", self._caller(http), given))
        answer.headers.update(headers_of(error))
        return answer

    def _caller(self, http: Request) -> Caller:
        from salver.dashboard.messages import Caller

        key = http.scope.get(KEY)
        manages = self._gate.manages
        if key is None:
            open_to_all = not self._gate.ring.closed
            return Caller("", ("predict", *(("manage",) if manages else ())) if open_to_all else (), (), not open_to_all)
        may = tuple(scope for scope in key.scopes if scope != "manage" or manages)
        return Caller(http.scope[WHO], may, key.models, True)

    def _facts(self) -> Facts:
        from salver.server.counted import facts

        return facts(self._engine, self._metrics, self._started_s)

    def _store(self) -> str:
        return self._engine.registry.store.url if self._engine.registry else ""


class _Door:
    """A route's app: the cookie's key is shown to the gate, and what is refused is said in a page."""

    def __init__(self, app: ASGIApp, face: DashboardFace) -> None:
        self._app = app
        self._face = face

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http = Request(scope, receive)
        key = http.cookies.get(COOKIE)
        if key and "authorization" not in http.headers and "x-api-key" not in http.headers:
            scope["headers"] = [*scope["headers"], (b"x-api-key", key.encode("latin-1", "replace"))]
        try:
            await self._app(scope, receive, send)
        except SalverError as error:
            await (await self._face.failed(http, error))(scope, receive, send)


def require_same_origin(http: Request) -> None:
    """Raises Forbidden for a form that another site's page sent."""
    origin, site = http.headers.get("origin"), http.headers.get("sec-fetch-site", "same-origin")
    if site not in ("same-origin", "none") or (origin is not None and urlsplit(origin).netloc != http.headers.get("host")):
        raise Forbidden("this form was sent by a page of another site", code="forbidden_origin")


def _keep(http: Request, answer: Response, name: str, value: str, for_s: int | None = None) -> None:
    answer.set_cookie(name, value, for_s, path=UI, secure=http.url.scheme == "https", httponly=True, samesite="strict")


def _inside(target: str) -> str:
    """Where to go on to: nowhere but here."""
    parts = urlsplit(target)
    inside = not parts.scheme and not parts.netloc and (parts.path == UI or parts.path.startswith(f"{UI}/"))
    return target if inside and "\\" not in target and target.isprintable() else UI


def _html(page: Page) -> Response:
    return Response(page.body, page.status, _HEADERS, "text/html")
