"""What a test does with a page: open it, wait until it is drawn, look for what keeps people out."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

_AXE = Path(__file__).with_name("axe.min.js")
_RUN = (
    "axe.run(document, {resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})"
)


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


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@cache
def _axe() -> str:
    return _AXE.read_text()
