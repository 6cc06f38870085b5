"""Both clients, asking a real server."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import salver
from salver.client import AsyncClient, Client, DeadlineExceeded, RequestRefused, Unreachable
from salver.client.answers import Reply
from tests.echo import echo_folder
from tests.serving import Served, free_port, serving

ROW, OTHER = [5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]
PEOPLE = pd.DataFrame({"plan": ["basic", "pro"], "age": [61.0, np.nan], "spend": [20.0, 90.5]}, index=[7, 9])


class Awaited:
    """An AsyncClient whose calls are waited for, so that the same tests hold it."""

    def __init__(self, *given: Any, **named: Any) -> None:
        self._loop = asyncio.Runner()
        self._client = AsyncClient(*given, **named)

    def __enter__(self) -> Awaited:
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.run(self._client.close())
        self._loop.close()

    def __getattr__(self, name: str) -> Any:
        return lambda *given, **named: self._loop.run(getattr(self._client, name)(*given, **named))


@pytest.fixture(params=[Client, Awaited], ids=["blocking", "asyncio"])
def client(request: pytest.FixtureRequest, served: Served) -> Iterator[Any]:
    with request.param(served.url, model="iris_model") as made:
        yield made


def test_rows(client: Any) -> None:
    answer = client.predict(ROW, probabilities=True, key="customer-17")
    assert (answer.prediction, answer.model, answer.version, answer.classes) == (0, "iris_model", 1, [0, 1, 2])
    assert sum(answer.probabilities[0]) == pytest.approx(1)
    many = client.predict([ROW, OTHER])
    assert many.predictions == [0, 2] and len(set(many.ids)) == 2
    assert client.predict(np.array([ROW, OTHER])).predictions == [0, 2]
    assert client.predict(PEOPLE.iloc[0].to_dict(), model="churn").prediction in ("yes", "no")


def test_tables_come_back_in_kind(client: Any) -> None:
    frame = client.predict_table(PEOPLE, model="churn", probabilities=True)
    assert list(frame.columns) == ["prediction", "probability_no", "probability_yes", "id"] and list(frame.index) == [7, 9]
    wanted = frame["prediction"].tolist()
    assert (
        wanted
        == client.predict(PEOPLE.astype(object).where(PEOPLE.notna(), None).to_dict("records"), model="churn").predictions
    )
    table = pa.Table.from_pandas(PEOPLE, preserve_index=False)
    for given in (table, table.to_batches()[0], pl.from_pandas(PEOPLE)):
        got = client.predict_table(given, model="churn")
        assert type(got) is type(given)
        assert (
            got["prediction"].to_pylist()
            if hasattr(got, "schema") and not isinstance(got, pl.DataFrame)
            else got["prediction"].to_list()
        ) == wanted


def test_labels_find_their_predictions(client: Any) -> None:
    answer = client.predict(ROW)
    counts = client.label(answer.id, 1)
    assert (counts["taken"], counts["matched"], counts["new"]) == (1, 1, 1)
    assert client.label(answer.id, 1)["duplicate"] == 1
    made = client.predict([ROW, OTHER], keys=["order-1", "order-2"])
    assert client.labels({"order-1": 0, "order-2": 2}, by="key")["matched"] == 2
    assert client.labels(dict(zip(made.ids, [0, 2], strict=True)))["taken"] == 2


def test_what_is_served(client: Any) -> None:
    assert {one["name"] for one in client.models()} == {"iris_model", "churn", "slow"}
    assert client.describe(model="churn")["signature"]["columns"][0]["name"] == "age"
    assert client.is_ready() is True


def test_refusals(client: Any) -> None:
    with pytest.raises(RequestRefused, match="x2") as refused:
        client.predict([ROW, [5.1, 3.5, "a", 0.2]])
    assert (refused.value.status, refused.value.code, refused.value.row) == (422, "wrong_type", 1)
    with pytest.raises(RequestRefused) as refused:
        client.predict(ROW, model="nobody")
    assert refused.value.code == "unknown_model"
    with pytest.raises(RequestRefused) as refused:
        client.predict_table(PEOPLE)
    assert refused.value.code in ("wrong_width", "unknown_column")


def test_a_deadline_is_kept_by_both_sides(client: Any, served: Served) -> None:
    """The call ends in time, and what waited for the model is not predicted."""

    def asked() -> None:
        httpx.post(f"{served.url}/models/slow/predict", json={"features": [1]}, timeout=30)

    first = threading.Thread(target=asked)
    first.start()
    time.sleep(0.1)  # it is with the model for 0.3 s more; what comes now waits behind it
    before, started = abandoned(served), time.monotonic()
    with pytest.raises(DeadlineExceeded):
        client.predict([2], model="slow", timeout_s=0.1)
    assert time.monotonic() - started < 0.29
    first.join()
    until(lambda: abandoned(served) == before + 1)


def abandoned(served: Served) -> float:
    lines = httpx.get(f"{served.url}/metrics").text.splitlines()
    counted = ("salver_requests_abandoned_total{", 'salver_errors_total{code="deadline_exceeded"')
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(counted) and 'model="slow"' in line)


def until(holds: Any, patience_s: float = 10.0) -> None:
    end = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_connections_are_used_again(served: Served) -> None:
    with Client(served.url, model="iris_model") as client:
        for _ in range(20):
            client.predict(ROW)
        client.predict_table(pd.DataFrame([ROW]))
        client.models()
        (pool,) = [client._http._transport._pool]  # type: ignore[attr-defined]
        assert len(pool.connections) == 1


def test_a_client_is_shared_by_threads(served: Served) -> None:
    with Client(served.url, model="iris_model") as client:
        got: list[Any] = []
        threads = [threading.Thread(target=lambda: got.extend(client.predict([ROW, OTHER]).predictions)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(got) == [0] * 16 + [2] * 16


def test_a_server_that_comes_back(tmp_path: Any) -> None:
    """What can't connect tries again for as long as it was given, and succeeds when somebody listens."""
    port = free_port()
    with Client(f"http://127.0.0.1:{port}", retries=0) as client, pytest.raises(Unreachable):
        client.predict([1])
    got: list[Any] = []
    with Client(f"http://127.0.0.1:{port}", retries=100, timeout_s=60) as client:
        waiting = threading.Thread(target=lambda: got.append(client.predict([1.5])))
        waiting.start()
        with serving([echo_folder(tmp_path / "echo")], arguments=["--port", str(port)], wait=False):
            waiting.join(60)
    assert [answer.prediction for answer in got] == [1.5]


def test_an_http_client_of_ones_own(served: Served) -> None:
    http = httpx.Client(base_url=served.url, headers={"x-mine": "1"})
    with Client(http=http, model="iris_model") as client:
        assert client.predict(ROW).prediction == 0
    assert http.is_closed


def test_it_is_salvers_too() -> None:
    assert salver.Client is Client and salver.AsyncClient is AsyncClient
    assert Reply.__module__ == "salver.client.answers"
