"""A real server with a day of traffic, and Debian's Chromium to look at it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.dashboard.day import make_day
from tests.programs import program
from tests.serving import Served, serving

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PICTURES = Path(os.environ.get("SALVER_PICTURES") or Path(__file__).resolve().parents[2] / ".pictures")
"""Where the tests leave a picture of each page."""


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("day")
    make_day(store, scale=0.6)
    return store


@pytest.fixture(scope="session")
def day(store: Path) -> Iterator[Served]:
    """The day, served; what the monitor said of it stays as it is."""
    with serving([], store=store, arguments=["--no-monitor", "--watch", "0.2"]) as served:
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Gone when the module is done: while it is there, the event loop that talks to it is, and no other runs in this thread."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=program("chromium", "chromium"), args=FLAGS)
        yield made
        made.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    made.set_default_timeout(20_000)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A tab. What goes wrong in it, goes wrong here: scripts that fail, what its policy forbids, answers that are errors."""
    made, wrong = context.new_page(), list[str]()
    made.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    made.on("pageerror", lambda error: wrong.append(str(error)))
    yield made
    assert not wrong, wrong
