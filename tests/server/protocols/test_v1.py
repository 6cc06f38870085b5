"""TensorFlow Serving's REST API, which is KServe's V1 too."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from tests.serving import Served

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]
SECRET = "a4f1c0ffee"


def predict(served: Served, model: str, body: Any, place: str = "") -> httpx.Response:
    content = body if isinstance(body, bytes) else None
    return httpx.post(
        f"{served.url}/v1/models/{model}{place}:predict", content=content, json=None if content is not None else body
    )


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"instances": [1.0, 2.0, 5]}, {"predictions": [2.5, 3.0, 4.5]}),
        ({"instances": [[1.0, 2.0], [3.0, 4.0]]}, {"predictions": [[2.5, 3.0], [3.5, 4.0]]}),
        ({"instances": [{"x": 1.0}, {"x": 3.0}]}, {"predictions": [2.5, 3.5]}),
        ({"inputs": [2.0, 3.0, 4.0]}, {"outputs": [3.0, 3.5, 4.0]}),
        ({"inputs": {"x": [3.0, 4.0]}, "signature_name": "serving_default"}, {"outputs": [3.5, 4.0]}),
        ({"inputs": 2.0}, {"outputs": 3.0}),
        ({"inputs": {"x": 2.0}}, {"outputs": 3.0}),
        (b'{"instances":[NaN, Infinity, 1.7976931348623157e308]}', {"predictions": [None, None, None]}),
    ],
)
def test_rows_and_columns(several: Served, body: Any, answer: Any) -> None:
    for place in ("", "/versions/1"):
        assert predict(several, "half_plus_two", body, place).json() == answer


def test_several_outputs_and_base64(several: Served) -> None:
    rows = [{"INPUT0": list(range(16)), "INPUT1": [1] * 16}]
    answer = predict(several, "simple", {"instances": rows}).json()["predictions"]
    assert answer == [{"OUTPUT0": list(range(1, 17)), "OUTPUT1": list(range(-1, 15))}]
    columns = {name: [values] for name, values in rows[0].items()}
    assert predict(several, "simple", {"inputs": columns}).json()["outputs"]["OUTPUT1"] == [list(range(-1, 15))]
    packed = [{"b64": base64.b64encode(text.encode()).decode()} for text in ("hello", "žebra")]
    assert predict(several, "tfs_bytes", {"instances": packed}).json() == {"predictions": packed}


def test_a_classifier_answers_labels_and_by_its_signature_probabilities(several: Served) -> None:
    native = httpx.post(f"{several.url}/models/iris_model/predict", json={"instances": ROWS, "probabilities": True}).json()
    assert predict(several, "iris_model", {"instances": ROWS}).json() == {"predictions": native["predictions"]}
    shares = predict(several, "iris_model", {"instances": ROWS, "signature_name": "probabilities"}).json()["predictions"]
    assert shares == native["probabilities"]


def test_what_a_model_is(several: Served) -> None:
    url = f"{several.url}/v1/models"
    assert httpx.get(several.url + "/").json() == {"status": "alive"}
    assert "iris_model" in httpx.get(url).json()["models"]
    for place in ("", "/versions/1"):
        status = httpx.get(f"{url}/iris_model{place}").json()
        assert (status["name"], status["ready"]) == ("iris_model", True)
        assert [(one["version"], one["state"]) for one in status["model_version_status"]] == [("1", "AVAILABLE")]
    described = httpx.get(f"{url}/iris_model/metadata").json()
    assert described["model_spec"] == {"name": "iris_model", "signature_name": "", "version": "1"}
    signature = described["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert (signature["inputs"]["X"]["dtype"], signature["outputs"]["prediction"]["dtype"]) == ("DT_DOUBLE", "DT_INT64")


@pytest.mark.parametrize(
    ("status", "says", "place", "body"),
    [
        (400, "JSON", "half_plus_two", b""),
        (400, "exactly one", "half_plus_two", {"foo": 1}),
        (400, "exactly one", "half_plus_two", {"instances": [1], "inputs": [1]}),
        (400, "to be a list", "half_plus_two", {"instances": 1}),
        (400, "No values", "half_plus_two", {"instances": []}),
        (400, "float32", "half_plus_two", {"instances": [SECRET]}),
        (400, "shapes", "half_plus_two", {"instances": [[1], [1, 2]]}),
        (400, "signature", "half_plus_two", {"instances": [1], "signature_name": SECRET}),
        (400, "signature_name", "half_plus_two", {"instances": [1], "signature_name": 1}),
        (400, "float32", "half_plus_two", {"instances": [True]}),
        (400, "none of them", "half_plus_two", {"instances": [{"x": 1.0}, 2.0]}),
        (400, "int32", "simple", {"instances": [{"INPUT0": [1] * 16, "INPUT1": [1.5] * 16}]}),
        (400, "int32", "simple", {"instances": [{"INPUT0": [1] * 16, "INPUT1": [2**31] * 16}]}),
        (400, "must be a list", "simple", {"inputs": 1}),
        (400, "base64", "tfs_bytes", {"instances": [{"b64": "?" + SECRET}]}),
        (400, "missing column", "simple", {"inputs": {"INPUT0": [[1] * 16]}}),
        (400, "numbers of rows", "simple", {"inputs": {"INPUT0": [[1] * 16], "INPUT1": []}}),
        (400, "must be a list", "simple", {"inputs": {"INPUT0": 1, "INPUT1": []}}),
        (404, "Servable not found for request: Latest(nobody)", "nobody", {"instances": [1]}),
        (404, "Specific(half_plus_two, 9)", "half_plus_two/versions/9", {"instances": [1]}),
        (400, "convert version", "half_plus_two/versions/18446744073709551615", {"instances": [1]}),
        (400, "version label", "half_plus_two/labels/nope", {"instances": [1]}),
    ],
)
def test_what_does_not_fit(several: Served, status: int, says: str, place: str, body: Any) -> None:
    answer = predict(several, place, body)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert says in answer.json()["error"]
    assert SECRET not in answer.text


def test_a_prediction_asked_by_get_is_told_the_method(several: Served) -> None:
    for place in ("", "/versions/1"):
        answer = httpx.get(f"{several.url}/v1/models/half_plus_two{place}:predict")
        assert (answer.status_code, answer.headers["allow"], list(answer.json())) == (405, "POST", ["error"])


def test_other_verbs_are_not_there(several: Served) -> None:
    answer = httpx.post(f"{several.url}/v1/models/half_plus_two:classify", json={"examples": []})
    assert (answer.status_code, list(answer.json())) == (404, ["error"])
