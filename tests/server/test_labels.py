"""Labels over HTTP and from files, and what the log makes of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from salver.log.compact import compact
from salver.log.view import Log
from tests.models import iris_file
from tests.serving import SALVER, Served, serving

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.2, 2.9, 4.3, 1.3], [7.7, 3.0, 6.1, 2.3]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with serving([iris_file(tmp_path)], store=tmp_path / "store") as served:
        yield served


def ask(server: Served, rows: int, **more: Any) -> list[str]:
    body = {"instances": [ROWS[i % 3] for i in range(rows)], **more}
    return httpx.post(f"{server.url}/predict", json=body, timeout=30).raise_for_status().json()["ids"]


def label(server: Served, labels: Any, expected: int = 200, query: str = "") -> dict[str, Any]:
    body = {"labels": labels} if isinstance(labels, list) else labels
    answer = httpx.post(f"{server.url}/models/iris_model/labels{query}", json=body, timeout=60)
    assert answer.status_code == expected, answer.text
    return answer.json()


def of(answer: dict[str, Any]) -> tuple[int, ...]:
    return tuple(answer[name] for name in ("taken", "matched", "unknown", "new", "duplicate", "revised", "invalid"))


def test_the_answer_says_what_became_of_each(server: Served) -> None:
    ids = ask(server, 4, keys=["a", "b", None, None])
    log = server.store / "log"
    first = [{"id": ids[2], "label": 0}, {"key": "a", "label": 1}, {"key": "later", "label": 2}, {"id": ids[3], "label": 7}]
    assert of(answer := label(server, first)) == (3, 2, 1, 3, 0, 0, 1)
    assert answer["refused"] == [{"row": 3, "reason": "the label is none of the model's classes"}]
    assert of(label(server, {"id": ids[2], "label": 0})) == (1, 1, 0, 0, 1, 0, 0)
    assert of(label(server, {"id": ids[2], "label": 1, "weight": 2.5})) == (1, 1, 0, 0, 0, 1, 0)
    ask(server, 1, keys=["later"])  # a label that came before its prediction
    assert of(label(server, [{"key": "later", "label": 2}, {"key": "later", "label": 2}])) == (2, 2, 0, 0, 2, 0, 0)
    server.process.terminate()
    server.process.wait()
    compact(log, grace_s=0)
    assert not list(log.rglob("*.jsonl"))
    found = Log(log).sql("select id::VARCHAR, key, label, weight from labels_in_force order by key").rows()
    assert found == [(None, "a", "1", None), (None, "later", "2", None), (ids[2], None, "1", 2.5)]
    assert Log(log).sql("select count(*) from labels").rows() == [(7,)]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"label": 1}, 422, "invalid_label"),
        ({"label": 1, "id": "x", "key": "y"}, 422, "invalid_label"),
        ({"label": 1, "id": "no-id"}, 422, "invalid_label"),
        ({"label": "planted", "key": "y"}, 422, "invalid_label"),
        ({"label": True, "key": "y"}, 422, "invalid_label"),
        ({"label": 1, "key": "y", "weight": -1}, 422, "invalid_label"),
        ({"key": "y"}, 400, "invalid_body"),
        ({"labels": 5}, 400, "invalid_body"),
    ],
)
def test_what_is_no_label_is_refused_and_not_repeated(iris: Served, body: Any, status: int, code: str) -> None:
    answer = httpx.post(f"{iris.url}/models/iris_model/labels", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "planted" not in answer.text


def test_counting_can_be_left_out(server: Served) -> None:
    (made,) = ask(server, 1)
    assert label(server, {"id": made, "label": 1}, query="?count=false") == {"taken": 1, "invalid": 0}


def test_without_a_log_there_are_no_labels(tmp_path: Path) -> None:
    with serving([iris_file(tmp_path)], store=tmp_path / "store", arguments=["--no-log"]) as server:
        assert label(server, {"key": "a", "label": 1}, 503)["code"] == "no_log"


def test_a_file_of_labels(server: Served, tmp_path: Path) -> None:
    ids = ask(server, 1000)
    lines = ["id,label,weight", *(f"{made},{i % 3},{1 + i % 2}" for i, made in enumerate(ids)), f"{ids[0]},2,1", f"{ids[0]},9,"]
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    command = [SALVER, "label", "iris_model", str(tmp_path / "labels.csv"), "--store", str(server.store), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert of(told) == (1001, 1001, 0, 1000, 0, 1, 1)
    assert told["refused"] == [{"row": 1001, "reason": "the label is none of the model's classes"}]
    assert of(label(server, {"id": ids[5], "label": 2, "weight": 2.0})) == (1, 1, 0, 0, 1, 0, 0)


def test_a_model_that_is_not_known_has_no_labels(tmp_path: Path) -> None:
    (tmp_path / "labels.jsonl").write_text('{"key": "a", "label": 1}\n')
    command = [SALVER, "label", "iris", str(tmp_path / "labels.jsonl"), "--store", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no predictions of a model 'iris'" in done.stderr
