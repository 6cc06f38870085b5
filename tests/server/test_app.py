"""What all routes share: health, the shape of errors, their codes and where these are documented."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from salver import errors
from salver.server.meanings import MEANING
from salver.server.problems import STATUS, TITLES
from tests.echo import echo_folder
from tests.serving import Served, serving

ROOT = Path(__file__).resolve().parents[2]


def ask(served: Served, method: str, path: str, body: str | None = None) -> httpx.Response:
    return httpx.request(method, served.url + path, content=body)


def test_health_and_models(several: Served) -> None:
    assert ask(several, "GET", "/health/live").json() == {"live": True}
    ready = ask(several, "GET", "/health/ready").json()
    assert ready["ready"] is True
    assert ready["models"]["churn"] == "ready"
    listed = {model["name"]: model for model in ask(several, "GET", "/models").json()["models"]}
    assert listed["iris_model"]["framework"]["model"] == "LogisticRegression"
    one = ask(several, "GET", "/models/iris_model@1").json()
    assert [column["name"] for column in one["signature"]["columns"]] == ["x0", "x1", "x2", "x3"]


PROBLEMS: list[tuple[str, str, str | None, str]] = [
    ("POST", "/predict", "{", "model_not_named"),
    ("GET", "/predict", None, "method_not_allowed"),
    ("POST", "/models/iris_model/predict", "{", "invalid_json"),
    ("POST", "/models/iris_model/predict", "[]", "invalid_body"),
    ("POST", "/models/iris_model/predict", '{"features":[1,2,3]}', "wrong_width"),
    ("POST", "/models/iris_model/predict", '{"features":[1,2,3,"a"]}', "wrong_type"),
    ("POST", "/models/iris_model/predict", '{"features":[1,2,3,null]}', "missing_value"),
    ("POST", "/models/iris_model/predict", '{"features":{"x0":1,"x1":1,"x2":1}}', "missing_column"),
    ("POST", "/models/iris_model/predict", '{"features":{"x0":1,"x1":1,"x2":1,"x3":1,"x4":1}}', "unknown_column"),
    ("POST", "/models/nobody/predict", "{}", "unknown_model"),
    ("POST", "/models/iris_model@9/predict", "{}", "unknown_version"),
    ("POST", "/models/iris_model@/predict", "{}", "invalid_reference"),
    ("GET", "/models/nobody", None, "unknown_model"),
    ("GET", "/models/nobody/route", None, "unknown_model"),
    ("POST", "/models/nobody/promote", "{}", "unknown_model"),
    ("POST", "/models/nobody/rollback", "{}", "unknown_model"),
    ("POST", "/models/nobody/canary", "{}", "unknown_model"),
    ("POST", "/models/nobody/shadow", "{}", "unknown_model"),
    ("POST", "/models/nobody/labels", "{}", "unknown_model"),
    ("POST", "/models/iris_model/labels", "{", "invalid_json"),
    ("GET", "/models/iris_model/labels", None, "method_not_allowed"),
    ("POST", "/models/iris_model/erase", "{", "invalid_json"),
    ("GET", "/models/iris_model/erase", None, "method_not_allowed"),
    ("GET", "/models/nobody/accuracy", None, "unknown_model"),
    ("POST", "/models/iris_model/accuracy", None, "method_not_allowed"),
    ("POST", "/models", None, "method_not_allowed"),
    ("DELETE", "/health/live", None, "method_not_allowed"),
    ("POST", "/health/ready", None, "method_not_allowed"),
    ("POST", "/metrics", None, "method_not_allowed"),
    ("POST", "/openapi.json", None, "method_not_allowed"),
    ("POST", "/docs", None, "method_not_allowed"),
    ("GET", "/nothing", None, "not_found"),
]


@pytest.mark.parametrize(("method", "path", "body", "code"), PROBLEMS)
def test_an_error_is_a_problem_document(several: Served, method: str, path: str, body: str | None, code: str) -> None:
    response = ask(several, method, path, body)
    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert response.status_code == problem["status"] == STATUS[code]
    assert set(problem) - {"column", "row", "expected"} == {"type", "title", "status", "detail", "error", "code"}
    assert problem["code"] == code
    assert problem["error"] == problem["detail"] != ""
    assert problem["type"] == f"/docs#error-{code}"
    assert problem["title"] == TITLES[problem["status"]]
    assert ("allow" in response.headers) == (code == "method_not_allowed")


V2_ERRORS: list[tuple[str, str, str | None, int]] = [
    ("POST", "/v2", None, 405),
    ("POST", "/v2/health/live", None, 405),
    ("POST", "/v2/health/ready", None, 405),
    ("POST", "/v2/models", None, 405),
    ("POST", "/v2/models/stats", None, 405),
    ("GET", "/v2/models/simple/versions/9/ready", None, 404),
    ("GET", "/v2/models/simple/versions/9/stats", None, 404),
    ("POST", "/v2/models/simple/versions/9/infer", "{}", 404),
    ("GET", "/v2/models/nobody", None, 404),
    ("GET", "/v2/models/nobody/ready", None, 404),
    ("GET", "/v2/models/nobody/stats", None, 404),
    ("GET", "/v2/models/simple/versions/9", None, 404),
    ("GET", "/v2/models/sim%20ple", None, 400),
    ("GET", "/v2/models/simple/infer", None, 405),
    ("POST", "/v2/models/simple/infer", "{", 400),
    ("POST", "/v2/models/simple/infer", "{}", 400),
    ("POST", "/v2/models/nobody/infer", "{}", 404),
    ("POST", "/v2/repository/index", "[", 400),
    ("POST", "/v2/repository/models/nobody/load", None, 404),
    ("POST", "/v2/repository/models/nobody/unload", None, 404),
    ("GET", "/v2/models/nobody/config", None, 404),
    ("GET", "/v2/models/nobody/versions/9/config", None, 404),
    ("GET", "/v2/nothing", None, 404),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), V2_ERRORS)
def test_an_error_of_v2_is_as_its_clients_read_it(
    several: Served, method: str, path: str, body: str | None, status: int
) -> None:
    response = ask(several, method, path, body)
    assert response.headers["content-type"] == "application/json"
    assert response.status_code == status
    assert list(response.json()) == ["error"]
    assert response.json()["error"]


def test_every_route_is_among_these(iris: Served) -> None:
    """A route that is added gets its line above; errors of other protocols have shapes of their own."""
    asked = [path for _, path, _, _ in [*PROBLEMS, *V2_ERRORS]]
    elsewhere = re.compile("/v1/.*|/|/ping|/health|/version|/execution-parameters|/invocations")
    for path in httpx.get(f"{iris.url}/openapi.json").json()["paths"]:
        if elsewhere.fullmatch(path):
            continue
        pattern = re.compile(re.sub(r"\{\w+\}|iris_model", "[^/]+", path))
        assert any(pattern.fullmatch(tried) for tried in asked), path


def test_while_a_model_is_loaded(tmp_path: Path) -> None:
    with (
        serving([echo_folder(tmp_path / "slow", delay_s=1.0)], wait=False) as served,
        httpx.Client(transport=httpx.HTTPTransport(retries=20), base_url=served.url) as client,
    ):
        answers = [
            client.get("/health/ready"),
            client.get("/v2/health/ready"),
            client.post("/predict", json={"features": [1]}),
            client.get("/v2/models/slow/ready"),
        ]
        assert client.get("/health/live").status_code == client.get("/v2/health/live").status_code == 200
        assert client.get("/models").json() == {"models": [{"name": "slow", "state": "loading"}]}
    assert [answer.status_code for answer in answers] == [503] * 4
    assert answers[2].json()["code"] == "loading"
    assert list(answers[3].json()) == ["error"]
    assert all(answer.headers["retry-after"] == "1" for answer in answers[2:])


def every(kind: type[errors.SalverError]) -> Iterator[type[errors.SalverError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from every(below)


def codes_written(file: Path) -> Iterator[str]:
    """The codes that a module gives its errors: every `code="…"` in a call."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant):
            yield str(node.value.value)


def test_every_code_has_a_status_and_a_meaning() -> None:
    raised = {kind.code for kind in every(errors.SalverError)}
    written = {code for file in (ROOT / "src").rglob("*.py") for code in codes_written(file)}
    assert (raised | written) - set(STATUS) == set()
    assert set(STATUS.values()) == set(TITLES)
    assert list(MEANING) == list(STATUS)


def test_the_page_on_errors_has_every_code() -> None:
    lines = (ROOT / "docs" / "errors.md").read_text().splitlines()
    table: list[list[Any]] = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    assert table == [[f"`{code}`", str(status), MEANING[code]] for code, status in STATUS.items()]
