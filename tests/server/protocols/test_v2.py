"""The Open Inference Protocol V2 in JSON, as its clients speak it."""

from __future__ import annotations

import gzip
import json
import math
from typing import Any

import httpx
import numpy as np
import pytest

from salver.log.reader import read_records
from tests.serving import Served

SIXTEEN = list(range(1, 17))
ONES = [1] * 16
SECRET = "a4f1c0ffee"
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]


def tensor(name: str, datatype: str, shape: list[int], data: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data, **more}


def simple(first: Any = SIXTEEN, second: Any = ONES, **more: Any) -> dict[str, Any]:
    return {"inputs": [tensor("INPUT0", "INT32", [1, 16], first), tensor("INPUT1", "INT32", [1, 16], second)], **more}


def infer(served: Served, model: str, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(f"{served.url}/v2/models/{model}/infer", content=content, headers=headers)


def outputs(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    return {output["name"]: output for output in response.json()["outputs"]}


def get(served: Served, path: str) -> Any:
    response = httpx.get(served.url + path)
    assert response.status_code == 200, response.text
    return response.json()


def test_the_server_and_its_health(several: Served) -> None:
    assert get(several, "/v2")["name"] == get(several, "/v2/")["name"] == "salver"
    assert get(several, "/v2/health/live?verbose=1") == {"live": True}
    assert get(several, "/v2/health/ready") == {"ready": True}
    assert {"iris_model", "churn", "simple"} <= set(get(several, "/v2/models")["models"])
    assert get(several, "/v2/models/simple/ready") == {"name": "simple", "ready": True}
    assert get(several, "/v2/models/simple/versions/1/ready") == {"name": "simple", "ready": True}


def test_metadata_of_tensors(several: Served) -> None:
    simple = get(several, "/v2/models/simple/versions/1")
    assert simple["versions"] == ["1"]
    assert simple["inputs"] == [{"name": f"INPUT{i}", "datatype": "INT32", "shape": [-1, 16]} for i in (0, 1)]
    assert simple["outputs"] == [{"name": f"OUTPUT{i}", "datatype": "INT32", "shape": [-1, 16]} for i in (0, 1)]
    assert get(several, "/v2/models/simple_identity")["inputs"][0]["datatype"] == "BYTES"


def test_metadata_of_columns(several: Served) -> None:
    iris = get(several, "/v2/models/iris_model")
    assert iris["inputs"] == [{"name": "X", "datatype": "FP64", "shape": [-1, 4]}]
    assert iris["outputs"] == [
        {"name": "prediction", "datatype": "INT64", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP64", "shape": [-1, 3]},
    ]
    churn = get(several, "/v2/models/churn")
    assert [(column["name"], column["datatype"], column["shape"]) for column in churn["inputs"]] == [
        ("age", "FP32", [-1]),
        ("spend", "FP32", [-1]),
        ("plan", "BYTES", [-1]),
    ]
    assert churn["outputs"][0] == {"name": "prediction", "datatype": "BYTES", "shape": [-1]}


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/x-www-form-urlencoded"}, {"content-type": "text/plain"}])
def test_any_content_type(several: Served, headers: dict[str, str]) -> None:
    assert outputs(infer(several, "simple", simple(), headers))["OUTPUT0"]["data"] == list(range(2, 18))


def test_flat_and_nested_data_are_the_same(several: Served) -> None:
    flat = outputs(infer(several, "simple", simple()))
    nested = outputs(infer(several, "simple", simple([SIXTEEN], [ONES])))
    assert flat == nested
    assert flat["OUTPUT1"] == {"name": "OUTPUT1", "datatype": "INT32", "shape": [1, 16], "data": list(range(16))}


def test_requested_outputs_come_in_their_order(several: Served) -> None:
    asked = infer(several, "simple", simple(outputs=[{"name": "OUTPUT1"}, {"name": "OUTPUT0"}]))
    assert list(outputs(asked)) == ["OUTPUT1", "OUTPUT0"]
    assert list(outputs(infer(several, "simple", simple(outputs=[{"name": "OUTPUT1"}])))) == ["OUTPUT1"]


def test_the_largest_elements_of_an_output(several: Served) -> None:
    body = {"inputs": [tensor("INPUT0", "FP32", [2, 4], [1, 5, 10, 4, 7, 7, -1, 0.5])]}

    def asked(count: Any, model: str = "identity_fp32", given: Any = body, name: str = "OUTPUT0") -> httpx.Response:
        return infer(several, model, given | {"outputs": [{"name": name, "parameters": {"classification": count}}]})

    two = ["10.000000:2", "5.000000:1", "7.000000:0", "7.000000:1"]
    assert outputs(asked(2))["OUTPUT0"] == tensor("OUTPUT0", "BYTES", [2, 2], two)
    assert outputs(asked(9))["OUTPUT0"]["shape"] == [2, 4]  # all that there are
    plain = outputs(infer(several, "iris_model", {"inputs": [tensor("X", "FP64", [1, 4], [5.1, 3.5, 1.4, 0.2])]}))
    best = max(plain["probabilities"]["data"])
    iris = {"inputs": [tensor("X", "FP64", [1, 4], [5.1, 3.5, 1.4, 0.2])]}
    assert outputs(asked(1, "iris_model", iris, "probabilities"))["probabilities"]["data"] == [f"{best:f}:0:0"]
    for count in (0, -1, "2", 1.5):
        assert asked(count).status_code == 400
    text = {"inputs": [tensor("INPUT0", "BYTES", [1, 1], ["a"])]}
    assert "no numbers" in asked(1, "simple_identity", text).json()["error"]


def test_the_id_is_given_back_and_parameters_are_tolerated(several: Served) -> None:
    answer = infer(several, "simple", simple(id="abc", model_name="simple", parameters={"timeout": 1000000, "priority": 1}))
    assert answer.json()["id"] == "abc"
    assert answer.json()["model_name"] == "simple"
    assert answer.json()["model_version"] == "1"
    assert "id" not in infer(several, "simple", simple()).json()
    assert "id" not in infer(several, "simple", simple(id=None)).json()


@pytest.mark.parametrize(
    ("model", "datatype", "data"),
    [
        ("identity_fp32", "FP32", [6.8, -0.1, 3.4028235e38]),
        ("identity_int64", "INT64", [9223372036854775807, -9223372036854775808, 9007199254740993]),
        ("identity_uint8", "UINT8", [0, 255, 7]),
        ("identity_uint32", "UINT32", [0, 4294967295, 7]),
        ("identity_bool", "BOOL", [True, False, True]),
        ("simple_identity", "BYTES", ["aGVsbG8=", "", "žebra 🦓"]),
    ],
)
def test_every_datatype_comes_back_as_it_went_in(several: Served, model: str, datatype: str, data: list[Any]) -> None:
    for shape in ([1, 3], [3, 1]):
        answer = outputs(infer(several, model, {"inputs": [tensor("INPUT0", datatype, shape, data)]}))
        assert answer["OUTPUT0"] == tensor("OUTPUT0", datatype, shape, data)


def test_missing_and_infinite_numbers(several: Served) -> None:
    body = b'{"inputs":[{"name":"INPUT0","shape":[1,5],"datatype":"FP32","data":[1.0,NaN,Infinity,-Infinity,null]}]}'
    answer = infer(several, "identity_fp32", body)
    assert outputs(answer)["OUTPUT0"]["data"] == [1.0, None, None, None, None]


def test_no_rows(several: Served) -> None:
    empty = {"inputs": [tensor("INPUT0", "FP32", [0, 4], [])]}
    assert outputs(infer(several, "identity_fp32", empty))["OUTPUT0"] == tensor("OUTPUT0", "FP32", [0, 4], [])
    texts = {"inputs": [tensor("INPUT0", "BYTES", [0, 2], [])]}
    assert outputs(infer(several, "simple_identity", texts))["OUTPUT0"] == tensor("OUTPUT0", "BYTES", [0, 2], [])
    assert outputs(infer(several, "iris_model", {"inputs": [tensor("X", "FP64", [0, 4], [])]}))["probabilities"]["shape"] == [
        0,
        3,
    ]


def test_compressed_bodies(several: Served) -> None:
    packed = gzip.compress(json.dumps(simple()).encode())
    assert outputs(infer(several, "simple", packed, {"content-encoding": "gzip"}))["OUTPUT0"]["data"] == list(range(2, 18))
    for broken in (packed[:-4], packed + b"more", b"no gzip"):
        assert refused(infer(several, "simple", broken, {"content-encoding": "gzip"}))
    bomb = gzip.compress(b" " * (65 * 2**20))
    assert "bytes" in refused(infer(several, "simple", bomb, {"content-encoding": "gzip"}))


@pytest.mark.parametrize("datatype", ["FP64", "FP32", "INT64"])
def test_a_matrix_and_columns_are_answered_as_rows_are(several: Served, datatype: str) -> None:
    rows = [[round(value) for value in row] for row in ROWS] if datatype == "INT64" else ROWS
    native = httpx.post(f"{several.url}/models/iris_model/predict", json={"instances": rows, "probabilities": True}).json()
    matrix = {"inputs": [tensor("X", datatype, [2, 4], rows)]}
    columns = {"inputs": [tensor(f"x{i}", datatype, [2], [row[i] for row in rows]) for i in range(4)]}
    upright = {"inputs": [tensor(f"x{i}", datatype, [2, 1], [[row[i]] for row in rows]) for i in range(4)]}
    for body in (matrix, columns, upright):
        answer = outputs(infer(several, "iris_model", body))
        assert answer["prediction"] == tensor("prediction", "INT64", [2], native["predictions"])
        assert answer["probabilities"]["shape"] == [2, 3]
        flat = [number for row in native["probabilities"] for number in row]
        assert answer["probabilities"]["data"] == pytest.approx(flat, abs=1e-6)


def test_mixed_columns_by_name(several: Served) -> None:
    body = {
        "inputs": [
            tensor("plan", "BYTES", [3], ["basic", "pro", None]),
            tensor("spend", "FP64", [3, 1], [10.5, 20, 30]),
            tensor("age", "FP64", [3], [60, None, 20]),
        ]
    }
    rows = [[60, 10.5, "basic"], [None, 20, "pro"], [20, 30, None]]
    native = httpx.post(f"{several.url}/models/churn/predict", json={"instances": rows}).json()
    assert outputs(infer(several, "churn", body))["prediction"] == tensor("prediction", "BYTES", [3], native["predictions"])


def test_the_rows_are_logged_under_ids_that_can_be_asked_for(several: Served) -> None:
    body = {"inputs": [tensor("X", "FP64", [2, 4], ROWS)], "outputs": [{"name": "prediction_id"}, {"name": "prediction"}]}
    answer = outputs(infer(several, "iris_model", body))
    logged = {record.id: record for record in read_records(several.store / "log")}
    for made_id, row, prediction in zip(answer["prediction_id"]["data"], ROWS, answer["prediction"]["data"], strict=True):
        assert list(logged[made_id].inputs.values()) == row
        assert logged[made_id].outputs["prediction"] == prediction


def test_unknown_models_are_refused_in_the_words_clients_look_for(several: Served) -> None:
    for path in (
        "/v2/models/nobody",
        "/v2/models/nobody/ready",
        "/v2/models/simple/versions/99",
        "/v2/models/simple/versions/x",
    ):
        response = httpx.get(several.url + path)
        assert response.status_code == 404
        assert response.json()["error"].startswith("Request for unknown model: '")
    response = infer(several, "nobody", simple())
    assert (response.status_code, response.json()) == (404, {"error": "Request for unknown model: 'nobody' is not found"})


def test_wrong_methods_and_paths(several: Served) -> None:
    response = httpx.get(f"{several.url}/v2/models/simple/infer")
    assert (response.status_code, response.headers["allow"], list(response.json())) == (405, "POST", ["error"])
    response = httpx.get(f"{several.url}/v2/nothing")
    assert (response.status_code, list(response.json())) == (404, ["error"])


def refused(response: httpx.Response) -> str:
    assert response.status_code == 400, response.text
    assert list(response.json()) == ["error"]
    return response.json()["error"]


@pytest.mark.parametrize(
    ("says", "body"),
    [
        ("JSON", b""),
        ("JSON", b"{" + SECRET.encode()),
        ("JSON", b"\xff\xfe"),
        ("nested", b'{"inputs":[{"data":' + b"[" * 100_000),
        ("object", [SECRET]),
        ("inputs", {}),
        ("inputs", {"inputs": []}),
        ("array", {"inputs": SECRET}),
        ("array", simple(outputs={"name": SECRET})),
        ("shape", {"inputs": [{"name": "INPUT0", "datatype": "INT32", "data": SIXTEEN}]}),
        ("data", {"inputs": [{"name": "INPUT0", "datatype": "INT32", "shape": [1, 16]}, simple()["inputs"][1]]}),
        ("data", simple(SECRET)),
        ("agree", simple(SIXTEEN[:15])),
        ("agree", simple([*SIXTEEN, 17])),
        ("agree", simple([SIXTEEN, ONES])),
        ("element", simple([[*SIXTEEN[:15], [16]]])),
        ("element", simple([[[n] for n in SIXTEEN]])),
        ("element", simple([None] * 16)),
        ("element", simple([1.5] * 16)),
        ("element", simple([True] * 16)),
        ("element", simple([SECRET] * 16)),
        ("range", simple([2**31] * 16)),
        ("range", simple([2**70] * 16)),
        ("datatype", {"inputs": [tensor("INPUT0", SECRET, [1, 16], SIXTEEN), simple()["inputs"][1]]}),
        ("expects 'INT32'", {"inputs": [tensor("INPUT0", "INT64", [1, 16], SIXTEEN), simple()["inputs"][1]]}),
        ("negative", {"inputs": [tensor("INPUT0", "INT32", [-1, 16], SIXTEEN), simple()["inputs"][1]]}),
        ("number of rows", {"inputs": [tensor("INPUT0", "INT32", [], SIXTEEN), simple()["inputs"][1]]}),
        ("shape 16", {"inputs": [tensor(f"INPUT{i}", "INT32", [16], SIXTEEN) for i in (0, 1)]}),
        ("agree", {"inputs": [tensor("INPUT0", "INT32", [16, 2**60], [1]), simple()["inputs"][1]]}),
        ("rows", {"inputs": [tensor("INPUT0", "INT32", [0, 2**60], []), simple()["inputs"][1]]}),
        ("rows", {"inputs": [tensor("INPUT0", "INT32", [2, 16], SIXTEEN * 2), simple()["inputs"][1]]}),
        ("INPUT1", {"inputs": simple()["inputs"][:1]}),
        ("unexpected", {"inputs": [*simple()["inputs"], tensor(SECRET, "INT32", [1, 1], [1])]}),
        ("twice", {"inputs": [*simple()["inputs"], simple()["inputs"][0]]}),
        ("twice", simple(outputs=[{"name": "OUTPUT0"}, {"name": "OUTPUT0"}])),
        ("output", simple(outputs=[{"name": SECRET}])),
    ],
)
def test_what_does_not_fit_is_refused(several: Served, says: str, body: Any) -> None:
    error = refused(infer(several, "simple", body))
    assert says in error
    assert SECRET not in error


@pytest.mark.parametrize(
    ("model", "says", "body"),
    [
        ("identity_fp16", "FP16", {"inputs": [tensor("INPUT0", "FP16", [1, 1], [1.5])]}),
        ("identity_fp32", "range", {"inputs": [tensor("INPUT0", "FP32", [1, 1], [1e39])]}),
        ("simple_identity", "BYTES", {"inputs": [tensor("INPUT0", "BYTES", [1, 1], [None])]}),
        ("iris_model", "finite", {"inputs": [tensor("X", "FP64", [1, 4], [1, 2, 3, math.inf])]}),
        ("iris_model", "missing", {"inputs": [tensor("X", "FP64", [1, 4], [1, 2, 3, None])]}),
        ("iris_model", "Expected [-1,4]", {"inputs": [tensor("X", "FP64", [1, 3], [1, 2, 3])]}),
        ("iris_model", "Expected [-1,4]", {"inputs": [tensor("X", "FP64", [4], [1, 2, 3, 4])]}),
        ("iris_model", "x3", {"inputs": [tensor(f"x{i}", "FP64", [1], [1]) for i in range(3)]}),
        ("iris_model", "rows", {"inputs": [tensor(f"x{i}", "FP64", [1 + (i == 3)], [1] * (1 + (i == 3))) for i in range(4)]}),
        ("churn", "'age'", {"inputs": [tensor("X", "BYTES", [1, 3], [SECRET, "1", "basic"])]}),
    ],
)
def test_what_does_not_fit_other_models(several: Served, model: str, says: str, body: Any) -> None:
    error = refused(infer(several, model, body))
    assert says in error
    assert SECRET not in error


def binary(served: Served, model: str, head: Any, rest: bytes, length: str | None = None) -> httpx.Response:
    text = b"" if head is None else json.dumps(head).encode()
    return infer(served, model, text + rest, {"inference-header-content-length": str(len(text)) if length is None else length})


def blobs(response: httpx.Response) -> dict[str, bytes]:
    """The outputs that came as bytes."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/octet-stream"
    place = int(response.headers["inference-header-content-length"])
    found: dict[str, bytes] = {}
    for output in json.loads(response.content[:place])["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        if size is not None:
            found[output["name"]] = response.content[place : place + size]
            place += size
    assert place == len(response.content)
    return found


def sized(name: str, datatype: str, shape: list[int], size: int) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}


ALL = {"binary_data_output": True}


@pytest.mark.parametrize(
    ("model", "datatype", "raw"),
    [
        ("identity_fp32", "FP32", np.array([6.8, np.nan, np.inf], "<f4").tobytes()),
        ("identity_fp16", "FP16", np.array([1.5, -2, 65504], "<f2").tobytes()),
        ("identity_int64", "INT64", np.array([2**63 - 1, -(2**63), 0], "<i8").tobytes()),
        ("identity_uint8", "UINT8", bytes([0, 255, 7])),
        ("identity_uint32", "UINT32", np.array([0, 2**32 - 1, 7], "<u4").tobytes()),
        ("identity_bool", "BOOL", bytes([1, 0, 1])),
        ("simple_identity", "BYTES", b"\3\0\0\0abc\0\0\0\0\2\0\0\0\xc5\xbe"),
    ],
)
def test_every_datatype_comes_back_in_bytes_as_it_went_in(several: Served, model: str, datatype: str, raw: bytes) -> None:
    head = {"inputs": [sized("INPUT0", datatype, [1, 3], len(raw))], "parameters": ALL}
    assert blobs(binary(several, model, head, raw)) == {"OUTPUT0": raw}


def test_bytes_and_json_side_by_side(several: Served) -> None:
    first, ones = np.arange(1, 17, dtype="<i4").tobytes(), tensor("INPUT1", "INT32", [1, 16], ONES)
    wanted = [{"name": "OUTPUT1"}, {"name": "OUTPUT0", "parameters": {"binary_data": True}}]
    head = {"inputs": [sized("INPUT0", "INT32", [1, 16], 64), ones], "outputs": wanted, "parameters": ALL}
    answer = binary(several, "simple", head, first)
    assert blobs(answer) == {"OUTPUT0": np.arange(2, 18, dtype="<i4").tobytes()}
    length = int(answer.headers["inference-header-content-length"])
    assert json.loads(answer.content[:length])["outputs"][0]["data"] == list(range(16))


def test_bytes_of_a_model_of_columns(several: Served) -> None:
    native = httpx.post(f"{several.url}/models/iris_model/predict", json={"instances": ROWS}).json()["predictions"]
    for kind in ("<f8", "<f4"):
        raw = np.array(ROWS, kind).tobytes()
        head = {
            "inputs": [sized("X", f"FP{(kind[-1] == '8' and 64) or 32}", [2, 4], len(raw))],
            "outputs": [{"name": "prediction"}],
        }
        assert outputs(binary(several, "iris_model", head, raw))["prediction"]["data"] == native
    almost = (np.array(ROWS, "<f4").view("<u4") >> 16).astype("<u2").tobytes()
    head = {"inputs": [sized("X", "BF16", [2, 4], len(almost))], "outputs": [{"name": "prediction"}]}
    assert outputs(binary(several, "iris_model", head, almost))["prediction"]["data"] == native


def test_bare_bytes_of_the_only_input(several: Served) -> None:
    raw = np.array(ROWS, "<f8").tobytes()
    native = httpx.post(f"{several.url}/models/iris_model/predict", json={"instances": ROWS}).json()["predictions"]
    assert np.frombuffer(blobs(binary(several, "iris_model", None, raw, "0"))["prediction"], "<i8").tolist() == native
    assert blobs(binary(several, "identity_fp32", None, b"\0" * 12, "0")) == {"OUTPUT0": b"\0" * 12}
    assert "whole number of rows" in refused(binary(several, "iris_model", None, raw[:-1], "0"))
    assert "2 inputs" in refused(binary(several, "simple", None, raw, "0"))
    assert "text" in refused(binary(several, "simple_identity", None, raw, "0"))


def test_large_answers_are_compressed_as_they_are_accepted(several: Served) -> None:
    many = 20_000
    body = {"inputs": [tensor("INPUT0", "FP32", [1, many], [0.5] * many)], "parameters": ALL}
    for coding in ("gzip", "deflate"):
        answer = infer(several, "identity_fp32", body, {"accept-encoding": coding})
        assert answer.headers["content-encoding"] == coding
        assert blobs(answer) == {"OUTPUT0": np.full(many, 0.5, "<f4").tobytes()}


def test_binary_bodies_are_compressed_like_others(several: Served) -> None:
    raw = np.array([[1.5, 2.5]], "<f4").tobytes()
    head = json.dumps({"inputs": [sized("INPUT0", "FP32", [1, 2], 8)], "parameters": ALL}).encode()
    headers = {"inference-header-content-length": str(len(head)), "content-encoding": "gzip"}
    assert blobs(infer(several, "identity_fp32", gzip.compress(head + raw), headers)) == {"OUTPUT0": raw}


FOUR = {"inputs": [sized("INPUT0", "FP32", [1, 4], 16)]}


@pytest.mark.parametrize(
    ("says", "model", "head", "rest", "length"),
    [
        ("length of the JSON", "identity_fp32", FOUR, bytes(16), "-1"),
        ("length of the JSON", "identity_fp32", FOUR, bytes(16), "x"),
        ("length of the JSON", "identity_fp32", FOUR, bytes(16), "99999999"),
        ("JSON", "identity_fp32", FOUR, bytes(16), "7"),
        ("not behind the JSON", "identity_fp32", FOUR, bytes(15), None),
        ("additional", "identity_fp32", FOUR, bytes(17), None),
        ("Expected 20, got 16", "identity_fp32", {"inputs": [sized("INPUT0", "FP32", [1, 5], 16)]}, bytes(16), None),
        ("not behind", "identity_fp32", {"inputs": [sized("INPUT0", "FP32", [1, 4], -16)]}, bytes(16), None),
        ("one of them", "identity_fp32", {"inputs": [FOUR["inputs"][0] | {"data": [1, 2, 3, 4]}]}, bytes(16), None),
        ("end before", "simple_identity", {"inputs": [sized("INPUT0", "BYTES", [1, 1], 8)]}, b"\5\0\0\0abcd", None),
        ("end before", "simple_identity", {"inputs": [sized("INPUT0", "BYTES", [1, 2**40], 8)]}, bytes(8), None),
        ("UTF-8", "simple_identity", {"inputs": [sized("INPUT0", "BYTES", [1, 1], 5)]}, b"\1\0\0\0\xff", None),
        ("mismatch", "simple_identity", {"inputs": [sized("INPUT0", "BYTES", [1, 1], 8)]}, bytes(8), None),
    ],
)
def test_bytes_that_do_not_fit(several: Served, says: str, model: str, head: Any, rest: bytes, length: str | None) -> None:
    assert says in refused(binary(several, model, head, rest, length))


def test_bytes_without_the_header(several: Served) -> None:
    assert "not behind" in refused(infer(several, "identity_fp32", FOUR))


def test_a_model_is_unloaded_and_loaded_again(several: Served) -> None:
    def model(path: str) -> int:
        return httpx.get(f"{several.url}/v2/models/unloadable{path}").status_code

    url = f"{several.url}/v2/repository/models/unloadable"
    body = {"inputs": [tensor("INPUT0", "FP32", [1, 1], [2.5])]}
    assert httpx.post(f"{url}/unload", content=b'{"parameters":{"unload_dependents":false}}').status_code == 200
    assert (model(""), model("/ready"), infer(several, "unloadable", body).status_code) == (404, 404, 404)
    listed = httpx.post(f"{several.url}/v2/repository/index").json()
    assert {"name": "unloadable", "version": "", "state": "UNAVAILABLE", "reason": "unloaded"} in listed
    assert httpx.get(f"{several.url}/v2/health/ready").json() == {"ready": True}
    overridden = {"parameters": {"config": "{}", "file:1/model.onnx": "AAAA"}}
    assert "files are not taken" in refused(httpx.post(f"{url}/load", json=overridden))
    assert "JSON" in refused(httpx.post(f"{url}/load", content=b"{"))
    assert httpx.post(f"{url}/load", json={"parameters": {"config": "{}"}}).json() == {"name": "unloadable", "load": True}
    assert (model(""), model("/ready")) == (200, 200)
    assert outputs(infer(several, "unloadable", body))["OUTPUT0"]["data"] == [2.5]
    for verb in ("load", "unload"):
        unknown = httpx.post(f"{several.url}/v2/repository/models/nobody/{verb}")
        assert (unknown.status_code, list(unknown.json())) == (404, ["error"])


def test_the_configuration_names_the_tensors(several: Served) -> None:
    config = get(several, "/v2/models/simple/config")
    assert config["input"][0] == {"name": "INPUT0", "data_type": "TYPE_INT32", "dims": [-1, 16]}
    assert get(several, "/v2/models/simple_identity/config")["output"][0]["data_type"] == "TYPE_STRING"


def test_the_repository_index(several: Served) -> None:
    for body in (b"", b"{}", b'{"ready":true}'):
        listed = httpx.post(f"{several.url}/v2/repository/index", content=body).json()
        assert {"name": "simple", "version": "1", "state": "READY", "reason": ""} in listed
    assert refused(httpx.post(f"{several.url}/v2/repository/index", content=b'{"ready":[true]}'))


def test_statistics(several: Served) -> None:
    infer(several, "simple", simple())
    (stats,) = get(several, "/v2/models/simple/stats")["model_stats"]
    assert stats["name"] == "simple"
    assert stats["inference_count"] >= stats["execution_count"] > 0
    assert stats["inference_stats"]["success"]["ns"] > 0 == stats["inference_stats"]["cache_hit"]["ns"]
    assert {entry["name"] for entry in get(several, "/v2/models/stats")["model_stats"]} >= {"simple", "churn"}
