"""Every page in a real browser, on a day on which something went wrong: drawn, readable by all, figures as elsewhere."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Literal

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.dashboard.conftest import PICTURES
from tests.dashboard.looking import barriers, drawn, fits, opened
from tests.dashboard.pictures import report
from tests.serving import SALVER, Served

PAGES = {
    "overview": "/ui",
    "model": "/ui/models/credit",
    "model-that-began": "/ui/models/leads",
    "alarms": "/ui/alarms",
    "predictions": "/ui/models/credit/predictions?since=24h",
    "compare": "/ui/models/churn/compare",
    "try": "/ui/models/credit/try",
    "rollback": "/ui/models/credit/do/rollback",
    "canary": "/ui/models/credit/do/canary",
}


def asked(served: Served, model: str = "credit", times: int = 1, **more: object) -> str:
    """Ask a model; the id of the last answer."""
    rows = {"credit": [4000.0, 0.3, 40.0, 0.0, "north"], "fraud": [30.0, 12.0, "DE"]}
    with httpx.Client(base_url=served.url) as client:
        for _ in range(times):
            answer = client.post(f"/models/{model}/predict", json={"features": rows[model], **more})
    return answer.raise_for_status().json()["id"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_drawn_light_and_dark_wide_and_narrow_and_keeps_nobody_out(day: Served, page: Page, name: str) -> None:
    opened(page, day.url + PAGES[name])
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        drawn(page)
        PICTURES.mkdir(exist_ok=True)
        page.screenshot(path=PICTURES / f"{name}-{theme}.png", full_page=True)
        assert not (found := barriers(page)), f"{name}, {theme}: " + "\n".join(found)
    page.set_viewport_size({"width": 390, "height": 800})
    drawn(page)
    fits(page)
    page.screenshot(path=PICTURES / f"{name}-phone.png", full_page=True)
    assert not barriers(page)


def test_figures_are_those_of_the_command_line(day: Served, page: Page) -> None:
    log, store = str(day.store / "log"), str(day.store)

    def said(*command: str) -> object:
        return json.loads(subprocess.run([SALVER, *command, "--json"], check=True, capture_output=True).stdout)

    measured = said("accuracy", "credit", "--by", "version", "--since", "7d", "--log", log, "--store", store)
    group = next(one for one in measured["groups"] if one["of"]["version"] == "4")  # type: ignore[index]
    accuracy = group["metrics"]["accuracy"]["value"]
    reported = said("report", "credit", "--log", log, "--store", store)
    alarms = [
        one for track in reported for one in track["alarms"]  # type: ignore[attr-defined]
        if track["version"] == 4 and not track["segment"] and one["until_us"] is None
    ]  # fmt: skip
    opened(page, f"{day.url}/ui")
    expect(page.locator("#row-credit [data-label=Accuracy] b")).to_have_text(f"{accuracy:.1%}".replace("%", " %"))
    opened(page, f"{day.url}/ui/models/credit")
    expect(page.locator("section[aria-labelledby=wrong] article")).to_have_count(len(alarms))
    for alarm in alarms:
        expect(page.locator("section[aria-labelledby=wrong]")).to_contain_text(alarm["what"])
    drift = next(one for one in reported[-1]["windows"][-1]["findings"] if one["kind"] == "drift")  # type: ignore[index]
    assert drift["effect"]["value"] is not None


def test_what_is_wrong_comes_first_and_what_is_fine_says_since_when(day: Served, page: Page) -> None:
    opened(page, f"{day.url}/ui")
    names = page.locator(".models tbody .name").all_text_contents()
    assert names == ["credit", "leads", "churn", "fraud"]
    expect(page.locator("#row-credit")).to_contain_text("income")
    expect(page.locator("#row-fraud")).to_contain_text(re.compile(r"fine\s+since"))
    expect(page.locator("#row-leads")).to_contain_text("more rows")
    expect(page.locator("#row-churn")).to_contain_text("canary 25 % 2")


def test_figures_move_while_one_looks_until_updates_are_paused(day: Served, page: Page) -> None:
    page.clock.install()
    opened(page, f"{day.url}/ui")
    now = page.locator("#row-fraud [data-label=Now]")
    moved = re.compile(r"[1-9]\S*\s*a second")
    deadline = time.monotonic() + 20
    while not moved.search(now.text_content() or ""):
        assert time.monotonic() < deadline, now.text_content()
        asked(day, "fraud", 5)
        with page.expect_response("**/ui"):
            page.clock.fast_forward(5_000)
    page.get_by_role("button", name="Pause updates").click()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.clock.fast_forward(60_000)
    page.get_by_role("button", name="Pause updates").click()
    with page.expect_request("**/ui"):
        page.clock.fast_forward(5_000)
    assert len(sent) == 1, "none while it was paused"


def test_a_page_process_that_is_gone_comes_back_and_says_so_meanwhile(day: Served, page: Page) -> None:
    for pid in map(int, Path(f"/proc/{day.process.pid}/task/{day.process.pid}/children").read_text().split()):
        if b"salver.dashboard.process" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    page.goto(f"{day.url}/ui/alarms", wait_until="commit")
    expect(page.locator("h1")).to_have_text("Alarms")


def test_the_keyboard_is_enough(day: Served, page: Page) -> None:
    opened(page, f"{day.url}/ui")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "credit":
            break
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/ui/models/credit$"))


def test_a_theme_that_was_chosen_stays(day: Served, page: Page) -> None:
    opened(page, f"{day.url}/ui")
    page.get_by_role("button", name="Use the dark theme").click()
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 19, 23)"


def test_predictions_are_found_by_id_key_value_and_time(day: Served, page: Page) -> None:
    made_id = asked(day, key="order-4711")
    base = f"{day.url}/ui/models/credit/predictions"
    for query in (f"text={made_id}", "text=order-4711"):
        opened(page, f"{base}?{query}")
        expect(page.locator(".found tbody tr")).to_have_count(1)
    opened(page, f"{base}?since=24h&column=income&operator=below&value=2000&version=3&route=live")
    rows = page.locator(".found tbody tr")
    assert rows.count() == 50
    incomes = [float(text) for text in page.locator(".found .pairs:first-child b").all_text_contents()]
    assert incomes and max(incomes) < 2000
    first = rows.first.locator("time").text_content()
    page.get_by_role("link", name="Earlier").click()
    assert rows.first.locator("time").text_content() < first  # type: ignore[operator]
    page.get_by_label("id or key").fill("nobody")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("Nothing found")).to_be_visible()
    expect(page.get_by_text("Search a longer time")).to_be_visible()
    opened(page, f"{base}?since=yesterday")
    expect(page.get_by_role("alert")).to_contain_text("a time is a span")


def test_a_prediction_in_full_is_tried_again_and_its_label_is_shown(day: Served, page: Page, context: BrowserContext) -> None:
    made_id = asked(day, key="order-4712")
    label = {"labels": [{"id": made_id, "label": "repaid"}]}
    httpx.post(f"{day.url}/models/credit/labels", json=label).raise_for_status()
    opened(page, f"{day.url}/ui/models/credit/predictions/{made_id}")
    page.screenshot(path=PICTURES / "prediction-light.png", full_page=True)
    assert not barriers(page)
    expect(page.locator(".dist.flagged")).to_contain_text("out of range")
    expect(page.locator(".figures-row")).to_contain_text("repaid")
    page.get_by_role("link", name="Try it with these values").click()
    expect(page.get_by_label("income")).to_have_value("4000")
    page.get_by_label("income").fill("60000")
    page.get_by_role("button", name="Predict").click()
    expect(page.locator(".answer .value")).to_have_text("repaid")
    expect(page.locator("pre").first).to_contain_text('"income": 60000.0')
    page.get_by_role("link", name="in the log").click()
    expect(page.locator("h1")).to_have_text("repaid")
    opened(page, f"{day.url}/ui/models/credit/try")
    page.get_by_label("income").fill("much")


def test_a_bad_canary_is_seen_beside_the_champion_and_replayed(day: Served, page: Page) -> None:
    opened(page, f"{day.url}/ui/models/churn/compare")
    expect(page.locator(".verdict .value")).to_contain_text("Version 1 is better")
    page.get_by_role("button", name="Replay").click()
    expect(page.locator("#replay")).to_contain_text("of the answers change", timeout=60_000)
    expect(page.locator("#replay")).to_contain_text("McNemar")
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=PICTURES / "compare-replayed-light.png", full_page=True)
    assert not barriers(page)


def test_the_report_is_one_that_a_person_reads(store: Path, page: Page) -> None:
    """The picture in docs/monitoring.md is this one."""
    PICTURES.mkdir(exist_ok=True)
    report(page, store, PICTURES / "report.png")
    expect(page.locator("h1").first).to_contain_text("something is wrong")
    expect(page.locator(".card b").filter(has_text=re.compile("income moved far: below .* of rows")).first).to_be_visible()
    expect(page.locator(".lead").first).to_contain_text(
        re.compile("By labels .* of answers are right, where .* Look at income")
    )
    assert "e+0" not in page.locator("body").inner_text()
    schemes: list[tuple[Literal["light", "dark"], int]] = [("light", 820), ("dark", 820), ("light", 360)]
    for scheme, width in schemes:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        assert not barriers(page), (scheme, width)
        fits(page)
