"""POST /models/NAME/erase: what was sent with a person's key is nowhere afterwards, whoever wrote it, and it is on record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from salver.log.compact import compact
from salver.log.signatures import note
from salver.log.view import Log
from salver.types.signature import Column, Output, Signature
from tests.echo import echo_folder
from tests.log.rows import some, write
from tests.serving import Served, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("erasing")
    with serving([echo_folder(folder / "echo")], store=folder / "store", arguments=["--workers", "2"]) as served:
        yield served


def erase(server: Served, body: Any, model: str = "echo") -> httpx.Response:
    return httpx.post(f"{server.url}/models/{model}/erase", json=body, timeout=60)


def test_what_is_erased_is_nowhere_and_asking_is_on_record(server: Served) -> None:
    log = server.store / "log"
    write(log, some(5, model="echo", key="planted-a", inputs={"x0": 1.0}, outputs={"prediction": 1.0}))
    compact(log)
    assert list(log.rglob("*.parquet"))
    for _ in range(6):  # on new connections, so that both workers are asked
        body = {"instances": [[1], [2], [3]], "keys": ["planted-a", "planted-b", "kept"]}
        ids = httpx.post(f"{server.url}/predict", json=body).raise_for_status().json()["ids"]
    labels = [{"label": 1.0, "key": "planted-a"}, {"label": 2.0, "id": ids[1]}, {"label": 3.0, "key": "kept"}]
    httpx.post(f"{server.url}/models/echo/labels?count=false", json={"labels": labels}).raise_for_status()
    answer = erase(server, {"keys": ["planted-a", "planted-b", "planted-c"]})
    assert (answer.status_code, answer.json()) == (200, {"predictions": 5 + 6 + 6, "labels": 2})
    assert erase(server, {"keys": ["planted-a"]}).json() == {"predictions": 0, "labels": 0}
    assert Log(log).sql("select key, count(*) from predictions group by all").rows() == [("kept", 6)]
    assert Log(log).sql("select key from labels").rows() == [("kept",)]
    assert not [path for path in server.store.rglob("*") if path.is_file() and b"planted" in path.read_bytes()]
    audit = [json.loads(line) for line in (server.store / "audit" / "audit.jsonl").read_text().splitlines()]
    wanted = {"event": "called", "what": "POST /models/{ref}/erase", "model": "echo", "status": 200}
    assert wanted.items() <= audit[-1].items()


def test_predictions_of_a_model_that_is_served_no_more_can_be_erased(server: Served) -> None:
    log = server.store / "log"
    note(log, "m", 1, Signature((Column("x"),), (Output("prediction", "int64"),), "classification"))
    write(log, some(4, key="planted"))
    assert erase(server, {"keys": ["planted"]}, model="m").json() == {"predictions": 4, "labels": 0}


@pytest.mark.parametrize("body", [{}, {"keys": []}, {"keys": [""]}, {"keys": "planted"}, {"keys": ["a"], "planted": 1}])
def test_what_names_nobody_is_refused(server: Served, body: Any) -> None:
    answer = erase(server, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_body")
    assert "planted" not in answer.text


def test_a_model_that_nobody_knows_is_not_found(server: Served) -> None:
    assert erase(server, {"keys": ["a"]}, model="ekko").json()["code"] == "unknown_model"


def test_what_can_not_be_written_is_not_said_to_be_erased(server: Served) -> None:
    """The log's commits are a file where a folder must be: erasing fails, says so, and is done when it is asked again."""
    log = server.store / "log"
    write(log, some(1, model="echo"))
    compact(log)
    write(log, some(2, model="echo", key="planted"))
    commits, aside = log / "commits", log / "commits.aside"
    commits.rename(aside)
    commits.write_bytes(b"")
    answer = erase(server, {"keys": ["planted"]})
    assert (answer.status_code, answer.json()["code"]) == (503, "log_unavailable")
    commits.unlink()
    aside.rename(commits)
    assert erase(server, {"keys": ["planted"]}).status_code == 200
    assert not [path for path in log.glob("*.jsonl") if b"planted" in path.read_bytes()]


def test_without_a_log_there_is_nothing_to_erase(tmp_path: Path) -> None:
    with serving([echo_folder(tmp_path / "echo")], store=tmp_path / "store", arguments=["--no-log"]) as server:
        assert erase(server, {"keys": ["a"]}).json()["code"] == "no_log"
