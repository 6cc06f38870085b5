"""Which page is made by what, from its path. Everything is escaped by the templates; nothing is marked safe."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from salver.dashboard import words
from salver.dashboard.assets import address
from salver.dashboard.health import kind
from salver.dashboard.known import Known
from salver.dashboard.live import Live
from salver.dashboard.messages import Ask
from salver.dashboard.turn import Turn
from salver.dashboard.views import Made, Request, Views
from salver.errors import NotFound, SalverError
from salver.monitors.alarm import told
from salver.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment


_OF_A_MODEL = ("head", "now", "latency", "alarm", "predictions", "compare", "replay")
_ROUTES = [
    (re.compile(pattern), name)
    for pattern, name in (
        (r"/", "overview"),
        (r"/alarms", "alarms"),
        (r"/models/([^/]+)", "model"),
        *((rf"/models/([^/]+)/{name}", name) for name in _OF_A_MODEL),
        (r"/models/([^/]+)/try", "try_it"),
        (r"/models/([^/]+)/predictions/([^/]+)", "prediction"),
        (r"/models/([^/]+)/do/([a-z-]+)", "action"),
        (r"/login", "login"),
        (r"/failed", "failed"),
    )
]
"""Pages by their paths; each is a method of `Views`."""


_FILTERS: dict[str, Any] = {
    "number": words.number,
    "plain": words.plain,
    "percent": words.percent,
    "likeliest": words.likeliest,
    "seconds": words.seconds,
    "ago": words.ago,
    "moment": words.moment,
    "moment_s": words.moment_s,
    "clock": words.clock,
    "iso": words.iso,
    "estimate": words.estimate,
    "signed": words.signed,
    "anchor": words.anchor,
    "kind": kind,
    "told": told,
    "zip": zip,
}
"""How templates write what they are given."""


class Pages:
    """All pages of one log and one store."""

    def __init__(self, log: Path | None, store: str) -> None:
        self.known = Known(log, store)
        self.live = Live()
        self._views = Views(self.known, self.live, store)

    def page(self, ask: Ask, turn: Turn) -> tuple[int, str]:
        """Status and HTML."""
        request = Request(ask, turn, self.live.models)
        status = int(ask.given.get("status", 200))
        try:
            template, filled = self._made(ask.page, request)
        except SalverError as error:
            status, template, filled = _status(error), "failed.html", {"title": "Not found", "error": error.message}
        return status, self._rendered(template, request, filled)

    def broken(self, ask: Ask) -> tuple[int, str]:
        """What is said where making a page went wrong."""
        request = Request(ask, Turn(), {})
        text = "this page could not be made; the server's standard error says why"
        return 500, self._rendered("failed.html", request, {"title": "Something went wrong", "error": text})

    def _made(self, page: str, request: Request) -> Made:
        for pattern, name in _ROUTES:
            if found := pattern.fullmatch(page):
                return getattr(self._views, name)(request, *map(unquote, found.groups()))
        raise NotFound("there is no such page; the list of models leads to those there are")

    def _rendered(self, template: str, request: Request, filled: dict[str, Any]) -> str:
        return self._environment.get_template(template).render(
            caller=request.caller,
            now_s=request.now_s,
            query=request.query,
            given=request.given,
            salver_version=__version__,
            **filled,
        )

    @cached_property
    def _environment(self) -> Environment:
        from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

        made = Environment(
            loader=PackageLoader("salver.dashboard"),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        made.filters.update(_FILTERS)
        made.globals["asset"] = address  # pyright: ignore[reportArgumentType]
        return made


def _status(error: SalverError) -> int:
    return 404 if isinstance(error, NotFound) else 504 if error.code == "deadline_exceeded" else 422
