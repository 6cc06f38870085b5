"""GET /docs: one page that needs nothing else, and that no model's name can break out of."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import httpx

from salver.server.problems import STATUS
from salver.types.signature import Column, Output
from tests.echo import echo_folder
from tests.serving import Served, serving

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&<!--"


class Page(HTMLParser):
    """What a browser would see: tags, attributes by tag, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


def get(served: Served) -> httpx.Response:
    response = httpx.get(f"{served.url}/docs")
    assert response.status_code == 200
    return response


def test_it_shows_every_model_and_how_it_is_served(several: Served) -> None:
    page = Page(get(several).text)
    assert {"model-iris_model", "model-churn", "model-simple"} <= set(page.values("id"))
    assert {"/models/iris_model/predict", "/models/churn/predict"} <= set(page.values("data-route"))
    assert "LogisticRegression (scikit-learn" in page.text
    assert "proven on" in page.text
    assert '"basic", "pro", or another' in page.text
    assert 'curl -d \'{"features": [' in page.text
    assert f"{several.url}/models/iris_model/predict" in page.text


def test_every_error_has_an_anchor(iris: Served) -> None:
    problem = httpx.post(f"{iris.url}/predict", json={"features": [1]}).json()
    anchors = set(Page(get(iris).text).values("id"))
    assert problem["type"] == "/docs#error-wrong_width"
    assert {f"error-{code}" for code in STATUS} <= anchors


def test_it_needs_nothing_from_elsewhere(iris: Served) -> None:
    page = Page(get(iris).text)
    assert not page.values("src")
    assert all(link.startswith(("#", "/")) for link in page.values("href"))
    assert not {"link", "img", "iframe", "object"} & set(page.tags)


def test_the_policy_lets_only_the_pages_own_script_and_style_run(iris: Served) -> None:
    first, second = get(iris), get(iris)
    policy = dict(rule.strip().split(" ", 1) for rule in first.headers["content-security-policy"].split(";"))
    page = Page(first.text)
    (nonce,) = set(page.values("nonce"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == f"'nonce-{nonce}'"
    assert (page.tags["script"], page.tags["style"]) == (1, 1)
    assert not any(name.startswith("on") or name == "style" for _, name, _ in page.attributes)
    assert nonce not in second.text
    assert first.headers["x-content-type-options"] == "nosniff"


def test_what_comes_from_a_model_or_a_header_stays_text(tmp_path: Path) -> None:
    columns = (Column(HOSTILE, "category", categories=(HOSTILE, "b")), Column("$nonce"))
    output = Output("prediction", "category")
    with serving([echo_folder(tmp_path / "echo", columns=columns, output=output, rows=[[HOSTILE, 1.0]])]) as served:
        for headers in ({}, {"host": "x'><script>alert(1)</script>"}):
            page = Page(httpx.get(f"{served.url}/docs", headers=headers).text)
            assert (page.tags["script"], page.tags["img"]) == (1, 0)
        page = Page(get(served).text)
        assert HOSTILE in page.text
        assert "$nonce" in page.text


def test_a_page_before_the_models_are_ready(tmp_path: Path) -> None:
    with (
        serving([echo_folder(tmp_path / "slow", delay_s=1.0)], wait=False) as served,
        httpx.Client(transport=httpx.HTTPTransport(retries=20)) as client,
    ):
        response = client.get(f"{served.url}/docs")
        assert response.status_code == 200
        assert "No model is ready yet" in response.text
