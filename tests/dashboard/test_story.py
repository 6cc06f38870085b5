"""The story that docs/dashboard.md tells: something is wrong with credit since this morning; found, and rolled back."""

from __future__ import annotations

import re
import time

import httpx
from playwright.sync_api import Browser, Page, expect

from salver.registry.registry import Registry
from tests.dashboard.conftest import PICTURES
from tests.dashboard.looking import barriers, opened, until
from tests.dashboard.pictures import tell
from tests.serving import Served


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
    expect(page.get_by_role("link", name="Try it")).to_be_visible()
    assert not page.get_by_role("link", name="Roll back…").count(), "it has one version"
    opened(page, f"{base}/do/rollback")
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
