"""What a test does with a page: open it, wait until it is drawn, look for what keeps people out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, Playwright, expect

from tests.programs import program
from tests.serving import Served, serving

_AXE = Path(__file__).with_name("axe.min.js")
_RUN = (
    "axe.run(document, {resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})"
)

WAIT_MS = 60_000.0
"""For what comes at once on a machine that does nothing else: pages stand behind predictions."""
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def launched(playwright: Playwright) -> Browser:
    """Debian's Chromium."""
    expect.set_options(timeout=WAIT_MS)
    return playwright.chromium.launch(executable_path=program("chromium", "chromium"), args=_FLAGS)


def until(what: Callable[[], bool], within_s: float = 60.0) -> None:
    """Return when it is so."""
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@contextmanager
def shown(store: Path) -> Iterator[Served]:
    """The day's server; the process that makes the pages is there, and the canary answers."""
    with serving([], store=store, arguments=["--no-monitor", "--watch", "0.2"]) as served:
        httpx.get(f"{served.url}/ui", timeout=60).raise_for_status()
        until(lambda: bool(httpx.get(f"{served.url}/models/churn").json()["routing"]["canaries"]))
        yield served


def opened(page: Page, url: str) -> None:
    """Go there, and wait until what it loads afterwards has come and every chart is drawn."""
    page.goto(url)
    drawn(page)


def drawn(page: Page) -> None:
    page.wait_for_function(
        "() => ![...document.querySelectorAll('.waits[hx-trigger]')].length"
        " && [...document.querySelectorAll('[data-chart]')].every((place) => place.querySelector('canvas'))"
    )


def barriers(page: Page) -> list[str]:
    """Serious things that axe finds: which rule, and where."""
    page.evaluate(_axe())
    found: dict[str, Any] = page.evaluate(_RUN)
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def fits(page: Page) -> None:
    """Waits until the page is no wider than the window: charts are drawn anew a moment after its size changed."""
    page.wait_for_function("() => document.documentElement.scrollWidth <= document.documentElement.clientWidth", timeout=10_000)


@cache
def _axe() -> str:
    return _AXE.read_text()
