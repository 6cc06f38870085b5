"""`/invocations`, as MLflow's and SageMaker's clients ask it, and Vertex AI's routes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from salver.version import __version__
from tests.serving import Served, serving
from tests.tensors import rowsum_folder, text_folder

FRAME = pd.DataFrame({"a": [1, 3], "b": [2, 4]})
JSON, CSV = "application/json", "text/csv"


@pytest.fixture(scope="module")
def sums(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose model adds the columns a and b."""
    with serving([rowsum_folder(tmp_path_factory.mktemp("models") / "rowsum")]) as served:
        yield served


def ask(served: Served, body: Any, kind: str | None = JSON, **headers: str) -> httpx.Response:
    sent = {"content-type": kind} if kind else {}
    url = f"{served.url}/invocations"
    if isinstance(body, bytes):
        return httpx.post(url, content=body, headers=sent | headers)
    return httpx.post(url, json=body, headers=sent | headers)


def parquet(frame: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.to_parquet(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"dataframe_split": {"columns": ["b", "a"], "data": [[2, 1], [4, 3]]}}, JSON),
        ({"dataframe_split": {"index": [5, 6], "columns": ["a", "b"], "data": [[1, 2], [3, 4]]}}, JSON),
        ({"dataframe_split": {"data": [[1, 2], [3, 4]]}}, JSON),
        ({"dataframe_records": [{"a": 1, "b": 2}, {"b": 4, "a": 3}]}, JSON),
        ({"dataframe_split": {"columns": ["a", "id", "b"], "data": [[1, 9, 2], [3, 9, 4]]}}, JSON),
        ({"dataframe_records": [{"a": 1, "b": 2, "id": 9}, {"b": 4, "a": 3}]}, JSON),
        (b",a,b\n0,1,2\n1,3,4\n", CSV),
        (parquet(FRAME.assign(id=9)), "application/vnd.apache.parquet"),
        ({"instances": [[1, 2], [3, 4]]}, "application/json; charset=utf-8"),
        ({"inputs": {"a": [1, 3], "b": [2, 4]}, "params": {"k": 1}, "signature_name": "x"}, JSON),
        (b'{"instances": [[1, 2], [3, 4]]}', None),
        (b"b,a\n2,1\n4,3\n", CSV),
        (parquet(FRAME), "application/vnd.apache.parquet"),
    ],
)
def test_every_form_of_mlflows(sums: Served, body: Any, kind: str | None) -> None:
    answer = ask(sums, body, kind)
    assert answer.json() == {"predictions": [3.0, 7.0]}
    assert answer.headers["content-type"] == JSON


@pytest.mark.filterwarnings("ignore")  # MLflow's to its own users
def test_mlflows_own_client(sums: Served) -> None:
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    client = ScoringServerClient("127.0.0.1", int(sums.url.rpartition(":")[2]))
    client.wait_server_ready(timeout=10)
    assert client.get_version() == __version__
    for asked in (FRAME, np.array([[1, 2], [3, 4]])):
        assert client.invoke(asked).get_predictions()[0].tolist() == [3.0, 7.0]


@pytest.mark.parametrize(
    ("says", "body", "kind", "status"),
    [
        ("JSON", b"this is,,,, not valid json", JSON, 400),
        ("exactly one of the input fields", b"1", JSON, 400),
        ("exactly one of the input fields", [[1, 2]], JSON, 400),
        ("exactly one of the input fields", {"dataframe_records": [], "dataframe_split": {"data": []}}, JSON, 400),
        ("must be a dictionary. Got list", {"dataframe_split": [{"a": 1}]}, JSON, 400),
        ("list of records. Got dictionary", {"dataframe_records": {"a": 1}}, JSON, 400),
        ("not a valid dataframe", {"dataframe_split": {"index": [1, 2], "data": [[1], [2], [3]]}}, JSON, 400),
        ("not a valid dataframe", {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]], "extra": 1}}, JSON, 400),
        ("not a valid dataframe", {"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}, JSON, 400),
        ("unknown column", {"instances": [{"a": 1, "b": 2, "id": 9}]}, JSON, 400),
        ("same columns", {"instances": [{"a": 1, "b": 2}, {"a": 3}]}, JSON, 400),
        ("params", {"instances": [[1, 2]], "params": 1}, JSON, 400),
        ("number", {"instances": [["x", 2]]}, JSON, 400),
        ("names", b"a,a\n1,2\n", CSV, 400),
        ("cells", b"a,b\n1,2\n3\n", CSV, 400),
        ("Parquet", b"PAR1", "application/vnd.apache.parquet", 400),
        ("charset", b"{}", "application/json; something=something", 415),
        ("content type", b"{}", "image/png", 415),
    ],
)
def test_refusals_in_mlflows_words(sums: Served, says: str, body: Any, kind: str, status: int) -> None:
    answer = ask(sums, body, kind)
    assert (answer.status_code, list(answer.json())) == (status, ["error_code", "message"]), answer.text
    assert says in answer.json()["message"]


def test_records_without_what_may_be_missing(sums: Served) -> None:
    assert ask(sums, {"dataframe_records": [{"a": 1, "b": 2}, {"a": 3}]}).json() == {"predictions": [3.0, None]}


def test_columns_that_pandas_counted(iris: Served, sums: Served) -> None:
    """A frame that was made without names has numbers for them, which say nothing to a model that was trained without."""
    frame = pd.DataFrame([[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]).to_dict(orient="split")
    assert ask(iris, {"dataframe_split": frame}).json() == {"predictions": [0, 2]}
    counted = pd.DataFrame([[1, 2]]).to_dict(orient="split")
    assert ask(sums, {"dataframe_split": counted}).json()["predictions"] == [None]  # a and b are missing, and may be


def test_what_stands_beside_it(sums: Served) -> None:
    for path in ("/ping", "/health"):
        assert httpx.get(sums.url + path).status_code == 200
    assert httpx.post(f"{sums.url}/ping").status_code == 405
    assert httpx.get(f"{sums.url}/version").text == __version__
    assert httpx.get(f"{sums.url}/execution-parameters").json()["BatchStrategy"] == "MULTI_RECORD"


NPY = "application/x-npy"


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One of SageMaker's, with two models; without a name, `rowsum` is meant."""
    folder = tmp_path_factory.mktemp("sagemaker")
    models = [rowsum_folder(folder / "rowsum"), text_folder(folder / "text", "y")]
    chosen = ["--set", "protocols.default=rowsum"]
    with serving(models, environment={"SAGEMAKER_BIND_TO_PORT": "8080"}, arguments=chosen) as served:
        yield served


def test_sagemakers_container(container: Served) -> None:
    served, rows = container, b"1,2\n3,4\n"
    assert ask(served, rows, CSV).json() == [3.0, 7.0]
    assert ask(served, rows, CSV, accept=CSV).text == "3.0\n7.0\n"
    assert ask(served, [[1, 2], [3, 4]]).json() == [3.0, 7.0]
    assert ask(served, {"instances": [[1, 2], [3, 4]]}).json() == {"predictions": [3.0, 7.0]}
    assert ask(served, {"instances": [[1, 2]]}, accept="text/libsvm").status_code == 406
    assert ask(served, b"", CSV).status_code == 400
    assert ask(served, b"1,2\n", CSV, **{"X-Amzn-SageMaker-Custom-Attributes": "trace=1"}).json() == [3.0]


def test_arrays_of_sagemakers_clients(container: Served) -> None:
    matrix = np.array([[1, 2], [3, 4]], np.int16)
    for array in (matrix, np.asfortranarray(matrix), matrix.astype(">f8")):
        assert ask(container, npy(array), NPY).json() == [3.0, 7.0]
    answer = ask(container, npy(matrix[0]), NPY, accept=f"text/csv;q=0.5, {NPY}")
    assert (answer.headers["content-type"], np.load(io.BytesIO(answer.content)).tolist()) == (NPY, [3.0])
    huge = npy(matrix).replace(b"(2, 2)", b"(9, 9)")
    for wrong in (b"", b"PK", npy(matrix)[:-1], huge, npy(matrix[:, :1]), npy(np.zeros((2, 2, 2))), npy(np.array(["a", "b"]))):
        assert ask(container, wrong, NPY).status_code in (400, 422)


def test_sagemakers_endpoint_of_several_models(container: Served) -> None:
    url = f"{container.url}/models"
    text = {"modelName": "text", "modelUrl": "text@1"}
    assert httpx.get(url).json() == {"models": [{"modelName": "rowsum", "modelUrl": "rowsum@1"}, text]}
    first = httpx.get(url, params={"limit": 1}).json()
    assert [one["modelName"] for one in first["models"]] == ["rowsum"]
    assert httpx.get(url, params={"next_page_token": first["nextPageToken"]}).json() == {"models": [text]}
    assert httpx.get(f"{url}?limit=0").status_code == 400
    asked: dict[str, Any] = {"content": b"1,2\n", "headers": {"content-type": CSV}}
    assert httpx.post(f"{url}/rowsum/invoke", **asked).json() == [3.0]
    assert (httpx.get(f"{url}/text").json(), httpx.delete(f"{url}/text").json()) == (text, text)
    for answer in (httpx.get(f"{url}/text"), httpx.delete(f"{url}/text"), httpx.post(f"{url}/text/invoke", **asked)):
        assert answer.status_code == 404
    assert httpx.get(f"{container.url}/ping").status_code == 200
    wanted = {"model_name": "text", "url": "/opt/ml/models/text/model"}
    assert [httpx.post(url, json=wanted).status_code for _ in range(2)] == [200, 409]
    assert httpx.post(f"{url}/text/invoke", json=["a"]).json() == ["a"]
    assert httpx.post(url, json={"model_name": "nobody"}).status_code == 404
    assert httpx.post(url, json={}).status_code == 400


def test_a_tutorials_routes(sums: Served) -> None:
    def asked(body: Any) -> httpx.Response:
        return httpx.post(f"{sums.url}/predict", json=body)

    assert asked({"features": [[1, 2], {"a": 3, "b": 4}]}).json()["predictions"] == [3.0, 7.0]
    for row in ({"features": {"a": 1, "b": 2}}, {"a": 1, "b": 2}):
        assert asked(row).json()["prediction"] == 3.0
    for wrong in ({"a": 1, "c": 2}, {"x": 1}, {"features": ["a", "b"]}, {"features": [[1, 2], [3]]}, {"a": "x"}, [1, 2]):
        answer = asked(wrong)
        assert answer.status_code in (400, 422) and answer.json()["error"]


def test_vertex_ais_container(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = rowsum_folder(tmp_path_factory.mktemp("vertex") / "rowsum")
    body = {"instances": [[1, 2], {"a": 3, "b": 4}], "parameters": {"k": 1}}
    mixed = {"instances": [{"a": 1, "b": 2}, {"a": 3}]}
    own = {"AIP_HEALTH_ROUTE": "/alive", "AIP_PREDICT_ROUTE": "/predict"}
    place = "/v1/endpoints/123/deployedModels/456"
    default = {"AIP_HEALTH_ROUTE": place, "AIP_PREDICT_ROUTE": f"{place}:predict"}
    for routes in (own, default):
        with serving([folder], environment=routes) as served:
            health, url = served.url + routes["AIP_HEALTH_ROUTE"], served.url + routes["AIP_PREDICT_ROUTE"]
            assert httpx.get(health).status_code == 200
            assert httpx.post(url, json=mixed).status_code in (400, 422)
            assert httpx.post(url, json=body).json() == {"predictions": [3.0, 7.0]}
            for wrong in (b"{", b"[]", b'{"instances":5}'):
                assert httpx.post(url, content=wrong).status_code == 400
            assert httpx.post(url, json={"features": [1, 2]}).json()["prediction"] == 3.0
