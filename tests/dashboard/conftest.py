"""A real server with a day of traffic, and Debian's Chromium to look at it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from salver.log.locks import held
from tests.dashboard.day import make_day
from tests.dashboard.looking import WAIT_MS, launched, shown
from tests.serving import Served

PICTURES = Path(os.environ.get("SALVER_PICTURES") or Path(__file__).resolve().parents[2] / ".pictures")
"""Where the tests leave a picture of each page."""


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The day, made once for all processes of the tests; each has its own copy."""
    base = tmp_path_factory.getbasetemp()
    made = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made-day"
    with held(made.with_suffix(".lock"), wait=True):
        if not made.is_dir():
            making = made.with_suffix(".making")
            make_day(making, scale=0.6)
            making.rename(made)
    return shutil.copytree(made, tmp_path_factory.mktemp("day") / "store")


@pytest.fixture(scope="session")
def day(store: Path) -> Iterator[Served]:
    """The day, served; what the monitor said of it stays as it is."""
    with shown(store) as served:
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Gone when the module is done: while it is there, the event loop that talks to it is, and no other runs in this thread."""
    with sync_playwright() as playwright:
        made = launched(playwright)
        yield made
        made.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    made.set_default_timeout(WAIT_MS)
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
