"""The pictures in the docs, of the real pages and the real report: `python -m tests.dashboard.pictures` takes them anew."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Locator, Page, expect, sync_playwright

from tests.dashboard.day import make_day
from tests.dashboard.looking import drawn, launched, opened, shown
from tests.serving import SALVER

DOCS = Path(__file__).resolve().parents[2] / "docs"


class Clicks:
    """Counts them, and takes a picture before each."""

    def __init__(self, page: Page, folder: Path) -> None:
        self.page, self.count, self._folder = page, 0, folder
        folder.mkdir(parents=True, exist_ok=True)

    def on(self, place: Locator) -> None:
        drawn(self.page)
        place.scroll_into_view_if_needed()
        self.count += 1
        self.page.screenshot(path=self._folder / f"story-{self.count}.png")
        place.click()
        self.page.wait_for_load_state()


def tell(page: Page, url: str, folder: Path, check: Callable[[], None] = lambda: None) -> int:
    """The story, and how many clicks it takes. `check` is called before the last one."""
    opened(page, f"{url}/ui")
    clicks = Clicks(page, folder)
    expect(page.locator("#row-credit")).to_contain_text("answers are wrong more often")  # that something is
    clicks.on(page.locator("#row-credit .name"))
    wrong = page.locator("section[aria-labelledby=wrong]")
    expect(wrong).to_contain_text("It began at")  # since when, and in which version
    expect(wrong).to_contain_text("champion 3 → 4")
    clicks.on(wrong.get_by_role("link", name="income: input moved"))
    expect(page.locator("h1")).to_contain_text("income")  # in which column
    expect(page.locator("section[aria-labelledby=dist-h]")).to_contain_text("below")
    clicks.on(page.get_by_role("link", name="Roll back…"))
    expect(page.locator("form")).to_contain_text("version 3 again")
    check()
    clicks.on(page.get_by_role("button", name="Roll back to version 3"))
    expect(page.locator(".said")).to_contain_text("It is rolled back")
    return clicks.count


def report(page: Page, store: Path, picture: Path) -> None:
    """`salver report credit`, opened in a browser; the picture is of the version in force."""
    subprocess.run([SALVER, "report", "credit", "--store", str(store)], cwd=store, check=True, stdout=subprocess.DEVNULL)
    page.set_viewport_size({"width": 820, "height": 900})
    page.goto((store / "credit-report.html").as_uri())
    box = page.locator("h1").nth(1).bounding_box()
    assert box is not None
    page.screenshot(path=picture, full_page=True, clip={"x": 0, "y": 0, "width": 820, "height": box["y"] - 24})


def main() -> None:
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        store = Path(folder)
        make_day(store)
        browser = launched(playwright)
        page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
        report(page, store, DOCS / "report.png")
        page.set_viewport_size({"width": 1280, "height": 900})
        with shown(store) as served:
            tell(page, served.url, DOCS / "dashboard")
        browser.close()


if __name__ == "__main__":
    main()
