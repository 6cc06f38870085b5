"""GET /openapi.json: a valid document whose examples work and whose schemas the answers fit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from salver.server.access import ACCESS
from salver.server.problems import STATUS
from salver.types.signature import Column, Output
from tests.echo import echo_folder
from tests.serving import Served, serving


def document(served: Served) -> dict[str, Any]:
    response = httpx.get(f"{served.url}/openapi.json")
    assert response.status_code == 200
    return response.json()


def validator(whole: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    """Validates against a schema of the document, whose references it can follow."""
    return Draft202012Validator({**schema, "components": whole["components"]})


def predictions(whole: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(path, operations["post"]) for path, operations in whole["paths"].items() if path.endswith("/predict")]


def content(described: dict[str, Any]) -> dict[str, Any]:
    """Of the first media type, which is JSON."""
    return next(iter(described["content"].values()))


def test_the_document_is_valid(iris: Served, several: Served) -> None:
    for served in (iris, several):
        validate(document(served))


def test_predict_stands_there_only_with_one_model(iris: Served, several: Served) -> None:
    assert [path for path, _ in predictions(document(iris))] == ["/predict", "/models/iris_model/predict"]
    paths = [path for path, _ in predictions(document(several))]
    assert {"/models/iris_model/predict", "/models/churn/predict", "/models/simple/predict"} <= set(paths)
    assert "/predict" not in paths


def test_every_example_works_and_its_answer_is_as_described(iris: Served, several: Served) -> None:
    """Of every protocol and model: what is asked fits its schema, is answered, and so does the answer."""
    tried = set[str]()
    for served in (iris, several):
        whole = document(served)
        for path, operations in whole["paths"].items():
            operation = operations.get("post", {})
            if "examples" not in content(operation.get("requestBody", {"content": {"": {}}})):
                continue
            tried.add(path)
            asked = content(operation["requestBody"])
            answered = validator(whole, content(operation["responses"]["200"])["schema"])
            for example in asked["examples"].values():
                validator(whole, asked["schema"]).validate(example["value"])
                response = httpx.post(served.url + path, json=example["value"])
                assert response.status_code == 200, (path, response.text)
                answered.validate(response.json())
    for protocol in (
        "/predict",
        "/invocations",
        "/v2/models/churn/infer",
        "/v1/models/simple:predict",
        "/models/churn/predict",
    ):
        assert protocol in tried
    assert sum(path.startswith("/v2/") for path in tried) >= 10


def test_every_route_is_described(iris: Served) -> None:
    """Those of the table of access, with the model's name where it types them."""
    described = {path.replace("/iris_model", "/{}") for path in document(iris)["paths"]}
    plain = {re.sub(r"\{\w+\}", "{}", path) for path in described}
    pages = {path for path in ACCESS if path.startswith("/ui")}  # for people
    wanted = {re.sub(r"\{\w+\}", "{}", path) for path in ACCESS.keys() - pages if "{verb}" not in path and path != "/v2/"}
    assert wanted <= plain, wanted - plain


def test_probabilities_are_described(iris: Served) -> None:
    whole = document(iris)
    asked = {"features": [5.1, 3.5, 1.4, 0.2], "probabilities": True}
    answer = httpx.post(f"{iris.url}/predict", json=asked).json()
    assert len(answer["probabilities"]) == 3
    validator(whole, {"$ref": "#/components/schemas/iris_model.Answer"}).validate(answer)


@pytest.mark.parametrize(
    "body",
    [
        {"features": [51, 2, "basic"]},
        {"features": [None, 2, None]},
        {"features": {"plan": "never heard of", "spend": 2}},
        {"instances": [[51, 2, "pro"], {"age": 4, "spend": 1, "plan": "pro"}], "keys": ["a", None]},
    ],
)
def test_what_the_schema_takes_the_server_takes(several: Served, body: Any) -> None:
    validator(document(several), {"$ref": "#/components/schemas/churn.Request"}).validate(body)
    assert httpx.post(f"{several.url}/models/churn/predict", json=body).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"features": [51, 2]},
        {"features": ["51", 2, "basic"]},
        {"features": {"age": 1, "spend": 2, "plan": "basic", "more": 3}},
        {"features": [51, 2, 3]},
        {"features": [51, 2, "basic"], "instances": []},
        {"features": [51, 2, "basic"], "unknown": 1},
        {"features": [51, 1e39, "basic"]},
        {"features": [51, 2, "basic"], "key": "k" * 257},
    ],
)
def test_what_the_schema_refuses_the_server_refuses(several: Served, body: Any) -> None:
    whole = document(several)
    assert not validator(whole, {"$ref": "#/components/schemas/churn.Request"}).is_valid(body)
    response = httpx.post(f"{several.url}/models/churn/predict", json=body)
    assert response.status_code in (400, 422)
    failure = content(whole["components"]["responses"][str(response.status_code)])
    validator(whole, failure["schema"]).validate(response.json())


def test_tensors_have_their_shape(several: Served) -> None:
    schema = validator(document(several), {"$ref": "#/components/schemas/simple.Request"})
    for width, fits in ((16, True), (15, False)):
        body = {"features": [[1] * width, [2] * 16]}
        response = httpx.post(f"{several.url}/models/simple/predict", json=body)
        assert (schema.is_valid(body), response.status_code == 200) == (fits, fits)


def test_every_code_is_described_under_its_status(iris: Served) -> None:
    responses = document(iris)["components"]["responses"]
    listed = {
        code: int(status)
        for status, described in responses.items()
        for code in content(described)["schema"]["allOf"][1]["properties"]["code"]["enum"]
    }
    assert listed == STATUS


def test_every_kind_of_column_and_output(tmp_path: Path) -> None:
    known = ("a", "b")
    columns = {
        "closed": (Column("c", "category", categories=known), "a", "z"),
        "open": (Column("c", "category", categories=known, unseen=True, nullable=True), None, 1),
        "numbers": (Column("c", "category", categories=(1, 2), nullable=True), 2, "a"),
        "text": (Column("c", "string"), "a", None),
        "flag": (Column("c", "bool"), True, "a"),
        "small": (Column("c", "uint8"), 255, 256),
        "infinite": (Column("c", infinite=True, nullable=True), "Infinity", "many"),
    }
    folders = [
        echo_folder(tmp_path / name, columns=(column,), output=Output("prediction", column.dtype), rows=[[good]])
        for name, (column, good, _) in columns.items()
    ]
    with serving(folders) as served:
        whole = document(served)
        validate(whole)
        for name, (_, good, bad) in columns.items():
            schema = validator(whole, {"$ref": f"#/components/schemas/{name}.Request"})
            for value, fits in ((good, True), (bad, False)):
                body = {"features": {"c": value}}
                response = httpx.post(f"{served.url}/models/{name}/predict", json=body)
                assert (schema.is_valid(body), response.status_code == 200) == (fits, fits), (name, value, response.text)
