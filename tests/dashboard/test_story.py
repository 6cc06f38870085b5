"""The story that docs/dashboard.md tells: something is wrong with credit since this morning; found, and rolled back."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Locator, Page, expect

from salver.registry.registry import Registry
from tests.dashboard.conftest import PICTURES
from tests.dashboard.looking import barriers, drawn, opened
from tests.serving import Served

DOCS = Path(__file__).resolve().parents[2] / "docs" / "dashboard"


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


def until(what: Callable[[], bool], within_s: float = 60.0) -> None:
    """Return when it is so."""
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_what_is_wrong_with_credit_is_found_and_rolled_back_in_five_clicks(day: Served, page: Page) -> None:
    answers = httpx.get(f"{day.url}/models/credit").json()["version"]
    assert answers == 4
    assert tell(page, day.url, PICTURES) <= 5
    route = Registry(day.store).route("credit")
    assert route.aliases["champion"] == 3
    until(lambda: httpx.get(f"{day.url}/models/credit").json()["version"] == 3)
    opened(page, f"{day.url}/ui/models/credit")
    expect(page.locator(".lead").first).to_contain_text("version 3", timeout=20_000)  # by itself
    expect(page.locator(".history li").first).to_contain_text("champion 4 → 3")
    assert not barriers(page)


def test_canary_shadow_and_promotion_from_the_page(day: Served, page: Page) -> None:
    registry = Registry(day.store)
    base = f"{day.url}/ui/models/fraud"
    opened(page, f"{day.url}/ui/models/credit/do/canary?version=2")
    page.get_by_label("percent").fill("12.5")
    page.get_by_label("why").fill("a small share first")
    page.get_by_role("button", name="Canary").click()
    expect(page.locator(".said")).to_contain_text("The canary begins")
    route = registry.route("credit")
    assert [(one.to, one.percent) for one in route.canaries] == [("2", 12.5)] and route.why == "a small share first"
    opened(page, f"{day.url}/ui/models/credit/do/end-canary")
    page.get_by_role("button", name="End the canary").click()
    expect(page.locator(".said")).to_contain_text("ended")
    assert not registry.route("credit").canaries
    opened(page, f"{day.url}/ui/models/credit/do/shadow?version=1")
    page.get_by_role("button", name="Shadow").click()
    expect(page.locator(".said")).to_contain_text("The shadow begins")
    opened(page, f"{day.url}/ui/models/credit/do/end-shadow")
    page.get_by_role("button", name="End the shadow").click()
    expect(page.locator(".said")).to_contain_text("ended")
    opened(page, f"{day.url}/ui/models/credit/do/promote")
    page.locator("#version").select_option("2")
    page.get_by_role("button", name="Promote").click()
    expect(page.locator(".said")).to_contain_text("promoted")
    assert registry.route("credit").aliases["champion"] == 2
    opened(page, base)
    expect(page.get_by_role("link", name="Roll back…")).to_be_visible()
    page.get_by_role("link", name="Roll back…").click()
    expect(page.get_by_text("There is nothing to go back to")).to_be_visible()


def test_a_form_that_was_overtaken_is_refused_and_shown_again(day: Served, browser: Browser) -> None:
    page = browser.new_page()
    opened(page, f"{day.url}/ui/models/credit/do/promote")
    page.locator("#version").select_option("1")
    Registry(day.store).tag("credit@1", {"seen": str(time.time())})  # somebody else changes the route meanwhile
    with page.expect_response(re.compile("/do/promote")) as answered:
        page.get_by_role("button", name="Promote").click()
    assert answered.value.status == 409
    expect(page.get_by_role("alert")).to_contain_text("somebody else has changed the route")
    page.close()
