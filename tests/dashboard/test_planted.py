"""Script and HTML in whatever comes from data, shown on every page: it is text, and never runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pandas as pd
import pytest
from playwright.sync_api import Page, expect

import salver
from salver.registry.registry import Registry
from tests.dashboard.looking import opened
from tests.serving import Served, serving

SCRIPT = "<script>window.planted = 1</script>"
IMAGE = "\"'><img src=x onerror=window.planted=2>"
TEMPLATE = "{{ 7 * 7 }}{% raw %}</textarea></svg>"
LINK = "javascript:window.planted=3//"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A model whose columns, categories, classes, description and tags are such text; a canary, and a log."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    store = tmp_path_factory.mktemp("planted")
    rows = pd.DataFrame({SCRIPT: [0.0, 1.0] * 100, IMAGE: [TEMPLATE, LINK, SCRIPT, IMAGE] * 50, "hx-get=/ui": [1.0, 2.0] * 100})
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), [IMAGE]), remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression()).fit(rows, [SCRIPT, IMAGE] * 100)
    for _ in range(2):
        salver.save(
            model, "planted", sample=rows, labels=[SCRIPT, IMAGE] * 100, store=store, description=SCRIPT + IMAGE,
            tags={"team": IMAGE}, by=SCRIPT, why=IMAGE, progress=lambda _: None,
        )  # fmt: skip
    Registry(store).canary("planted@2", 30, by=IMAGE, why=SCRIPT)
    with serving([], store=store, arguments=["--no-monitor"]) as served:
        for row in rows.head(40).to_dict("records"):
            body = {"features": row, "key": IMAGE}
            httpx.post(f"{served.url}/models/planted/predict", json=body).raise_for_status()
        yield served


def listed(served: Served) -> str:
    body = {"features": {SCRIPT: 1.0, IMAGE: SCRIPT, "hx-get=/ui": 1.0}, "key": SCRIPT}
    return httpx.post(f"{served.url}/models/planted/predict", json=body).json()["id"]  # type: ignore[no-any-return]


def test_what_is_planted_is_shown_and_never_runs(planted: Served, page: Page) -> None:
    base, made_id = f"{planted.url}/ui/models/planted", listed(planted)
    pages = [
        f"{planted.url}/ui", base, f"{base}/compare?a=1&b=2", f"{base}/predictions", f"{base}/predictions/{made_id}",
        f"{base}/try?from={made_id}", f"{base}/do/promote", f"{planted.url}/ui/alarms", f"{planted.url}/ui?q={SCRIPT}",
        f"{base}/predictions?text={IMAGE}&column={SCRIPT}&value={IMAGE}&since=24h",
    ]  # fmt: skip
    for url in pages:
        opened(page, url)
        assert page.evaluate("window.planted") is None, url
        assert page.locator("img").count() == 0 and page.locator("main script").count() == 0, url
    opened(page, base)
    expect(page.locator(".versions")).to_contain_text(SCRIPT + IMAGE)
    opened(page, f"{base}/predictions/{made_id}")
    expect(page.locator("main")).to_contain_text(SCRIPT)
    opened(page, f"{base}/try")
    page.get_by_label("hx-get=/ui").fill("2")
    page.get_by_role("button", name="Predict").click()
    expect(page.locator(".answer .value")).to_contain_text(re.compile("script|img"))
    assert page.evaluate("window.planted") is None


def test_what_a_refused_form_held_is_not_run_either(planted: Served) -> None:
    """Without a browser, which would send what no form of ours sends."""
    answer = httpx.get(f"{planted.url}/ui/models/planted/predictions?since={SCRIPT}")
    assert SCRIPT not in answer.text and "a time is a span" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "script-src 'self'" in policy
    assert Path(planted.store).is_dir()
