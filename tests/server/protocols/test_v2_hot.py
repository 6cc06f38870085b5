"""V2's infer route on the hot path says what it says off it, to the letter."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from salver.server.hot_routes import target_of
from tests.serving import Served

ROW, OTHER = [5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]
COLD = {"server-timing": "1"}
"""A header that asks for something the hot path does not do."""


def matrix(data: Any, datatype: str = "FP64", shape: Any = (1, 4), name: str = "X") -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def column(place: int, value: Any) -> dict[str, Any]:
    return {"name": f"x{place}", "shape": [1], "datatype": "FP64", "data": [value]}


IRIS: list[Any] = [
    {"inputs": [matrix(ROW)]},
    {"inputs": [matrix([ROW])]},
    {"inputs": [matrix(ROW, "FP32")]},
    {"inputs": [matrix([5, 3, 1, 0], "INT64")]},
    {"inputs": [matrix([1e39, 0, 0, 0], "FP32")]},
    {"inputs": [matrix(ROW)], "id": "ž 7"},
    {"inputs": [matrix(ROW + OTHER, shape=(2, 4))]},
    {"inputs": [matrix([], shape=(0, 4))]},
    {"inputs": [matrix(ROW)], "outputs": [{"name": "probabilities"}]},
    {"inputs": [matrix(ROW)], "outputs": [{"name": "prediction", "parameters": {"binary_data": True}}]},
    {"inputs": [matrix(ROW)], "parameters": {"binary_data_output": True}},
    {"inputs": [column(i, value) for i, value in enumerate(ROW)]},
    {"inputs": [matrix(ROW, name="x0")]},
    {"inputs": [matrix(ROW, shape=(1, 3))]},
    {"inputs": [matrix([*ROW[:3], None])]},
    {"inputs": [matrix([*ROW[:3], "a"])]},
    {"inputs": [matrix(ROW, "FLOAT")]},
    {"inputs": []},
    {"inputs": [matrix(ROW)], "outputs": [{"name": "nothing"}]},
    b"{",
    b"",
]
CHURN: list[Any] = [
    {
        "inputs": [
            {"name": "age", "shape": [1], "datatype": "FP64", "data": [None]},
            {"name": "spend", "shape": [1], "datatype": "FP32", "data": [2.5]},
            {"name": "plan", "shape": [1], "datatype": "BYTES", "data": ["pro"]},
        ]
    }
]
SIMPLE: list[Any] = [
    {"inputs": [{"name": f"INPUT{i}", "shape": [1, 16], "datatype": "INT32", "data": list(range(16))} for i in (0, 1)]}
]
QUESTIONS = [(model, body) for model, bodies in (("iris_model", IRIS), ("churn", CHURN), ("simple", SIMPLE)) for body in bodies]


@pytest.fixture(scope="module")
def client(several: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=several.url) as made:
        yield made


@pytest.mark.parametrize(("model", "body"), QUESTIONS)
def test_hot_and_cold_answers_are_the_same(client: httpx.Client, model: str, body: Any) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    for version in ("", "/versions/1"):
        path = f"/v2/models/{model}{version}/infer"
        hot, again, cold = (client.post(path, content=content, headers=headers) for headers in ({}, {}, COLD))
        assert hot.content == again.content == cold.content
        assert hot.status_code == again.status_code == cold.status_code
        names = ("content-type", "inference-header-content-length", "content-length")
        assert [hot.headers.get(name) for name in names] == [cold.headers.get(name) for name in names]


def test_who_is_not_here(client: httpx.Client) -> None:
    for path in ("/v2/models/nobody/infer", "/v2/models/iris_model/versions/9/infer"):
        hot, cold = (client.post(path, json=IRIS[0], headers=headers) for headers in ({}, COLD))
        assert hot.status_code == cold.status_code == 404
        assert hot.json() == cold.json() and "Request for unknown model" in hot.json()["error"]


def test_protocols_by_turns_on_one_connection(several: Served) -> None:
    """What one leaves in the connection's request is not the other's."""
    with httpx.Client(base_url=several.url) as client:
        for _ in range(3):
            assert client.post("/v2/models/simple/infer", json=SIMPLE[0]).json()["outputs"][1]["data"] == [0] * 16
            assert client.post("/models/iris_model/predict", json={"features": ROW}).json()["prediction"] == 0
            assert client.post("/v2/models/iris_model/infer", json=IRIS[0]).json()["outputs"][0]["data"] == [0]
            assert client.post("/models/iris_model/predict", json={"instances": []}).json()["predictions"] == []
            assert client.post("/models/iris_model/predict", json={"features": [1]}).status_code == 422
            assert client.post("/v2/models/iris_model/infer", json={"inputs": []}).json().keys() == {"error"}


@pytest.mark.parametrize(
    "target", [b"/v2/models/a/infer", b"/v2/models/a.b-c/versions/12/infer", b"/models/a@1/predict", b"/predict"]
)
def test_hot_targets(target: bytes) -> None:
    found = target_of(target)
    assert found is not None and (found.version, found.model) in (("", "a"), ("12", "a.b-c"), ("", "a@1"), ("", ""))


@pytest.mark.parametrize(
    "target", [b"/v2/models/a/infer?x=1", b"/v2/models/a/versions/x/infer", b"/v2/models//infer", b"/v2/models/%61/infer"]
)
def test_targets_that_are_not(target: bytes) -> None:
    assert target_of(target) is None


def test_a_timeout_is_kept_on_the_hot_path_too(several: Served) -> None:
    """The same head each time, so that from the second on it is known."""
    host, _, port = several.url.removeprefix("http://").partition(":")
    body = json.dumps({"features": ROW}).encode()
    for timeout, status in (("5000", b"200"), ("0.000001", b"504"), ("-1", b"422"), ("soon", b"422"), ("1e308", b"422")):
        told = f"x-request-timeout-ms: {timeout}\r\n"
        head = f"POST /models/iris_model/predict HTTP/1.1\r\nhost: x\r\n{told}content-length: {len(body)}\r\n\r\n"
        with socket.create_connection((host, int(port))) as connection:
            for _ in range(3):
                connection.sendall(head.encode() + body)
                answer = connection.recv(65536)
                assert answer[9:12] == status, answer
            connection.sendall(head.replace(told, "").encode() + body)
            assert connection.recv(65536)[9:12] == b"200"
