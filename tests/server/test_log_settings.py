"""The log's settings, seen from outside: what a real server writes, and what it does when it can't."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import httpx

from salver.log.compact import compact
from salver.log.reader import read_records
from salver.log.view import Log
from salver.server.housekeeping import look_after
from tests.echo import echo_folder
from tests.log.rows import some, write
from tests.models import churn_file, iris_file
from tests.serving import Served, serving

PLANTED = "planted-secret-value"
RULES = """
[models.churn]
key = "hash"
[models.churn.columns]
plan = "drop"
spend = { bucket = 100 }
age = "hash"
"""


def configured(store: Path, text: str) -> Path:
    (store / "log").mkdir(parents=True)
    (store / "log" / "log.toml").write_text(text)
    return store


def test_what_is_not_to_be_written_is_nowhere(tmp_path: Path) -> None:
    """Not in lines, Parquet, labels, metrics, errors, nor in what the server prints."""
    store = configured(tmp_path / "store", RULES)
    with serving([churn_file(tmp_path)], store=store) as server:
        url = f"{server.url}/models/churn"
        row = {"age": 33.4127, "spend": 717.25, "plan": PLANTED}
        for features in (row, {**row, "age": PLANTED}, {**row, "other": PLANTED}, [PLANTED]):
            answer = httpx.post(f"{url}/predict", json={"features": features, "key": PLANTED}, timeout=30)
            assert PLANTED not in answer.text
        assert PLANTED not in httpx.post(f"{url}/labels", json={"label": PLANTED, "key": "k"}).text
        assert PLANTED not in httpx.get(f"{server.url}/metrics").text
    compact(store / "log")
    written = [path for path in store.rglob("*") if path.is_file() and "cache" not in path.parts]
    assert any(path.suffix == ".parquet" for path in written) and any(path.suffix == ".jsonl" for path in written)
    for value in (PLANTED, "33.4127", "717.25"):
        assert not [path for path in written if value.encode() in path.read_bytes()]
    (record, *_) = read_records(store)
    assert record.inputs["spend"] == 700 and len(record.inputs["age"]) == 16 and "plan" not in record.inputs


def test_a_rule_that_does_not_fit_keeps_the_model_from_being_served(tmp_path: Path) -> None:
    store = configured(tmp_path / "store", '[models.echo.columns]\nmisspelt = "drop"\n')
    with serving([echo_folder(tmp_path / "echo")], store=store, wait=False) as server:
        assert server.process.wait(60) == 1
    assert "misspelt" in server.output.read_text()


def test_with_drop_predictions_go_on_when_the_disk_is_full(tmp_path: Path) -> None:
    store = configured(tmp_path / "store", 'when_full = "drop"\n')
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    with serving([echo_folder(tmp_path / "echo")], store=store) as server, httpx.Client(timeout=30) as client:

        def ask(count: int) -> list[str]:
            return [client.post(f"{server.url}/predict", json={"features": [1]}).json()["id"] for _ in range(count)]

        answered = ask(5)
        _until(server, "salver_log_healthy 1.0")
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, unlimited[1]))  # to that process the disk is full
        answered += ask(50)
        _until(server, "salver_log_healthy 0.0")
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, unlimited)
        time.sleep(1)
        answered += ask(5)
        metrics = _until(server, "salver_log_healthy 1.0")
    dropped = int(float(metrics.partition("\nsalver_log_dropped_lines_total ")[2].split()[0]))
    logged = [record.id for record in read_records(store)]
    assert 0 < dropped <= 50
    assert len(answered) == len(logged) + dropped
    assert set(logged) <= set(answered)


def _until(server: Served, wanted: str) -> str:
    deadline = time.monotonic() + 10
    while wanted not in (text := httpx.get(f"{server.url}/metrics").text):
        assert time.monotonic() < deadline, text
        time.sleep(0.05)
    return text


def test_always_synced_answers_are_the_same(tmp_path: Path) -> None:
    store = configured(tmp_path / "store", 'sync = "always"\n')
    with serving([iris_file(tmp_path)], store=store) as server:
        answer = httpx.post(f"{server.url}/predict", json={"features": [5.1, 3.5, 1.4, 0.2]}, timeout=30)
    assert [record.id for record in read_records(store)] == [answer.json()["id"]]
    assert json.loads((store / "log" / "signatures" / "iris_model@1.json").read_text())["task"] == "classification"


def test_what_is_complete_becomes_parquet_beside_serving(tmp_path: Path) -> None:
    write(tmp_path, some(10))

    async def wait() -> None:
        task = asyncio.create_task(look_after(tmp_path, look_s=0.05))
        try:
            async with asyncio.timeout(60):
                while not list(tmp_path.rglob("model=m/**/*.parquet")):
                    await asyncio.sleep(0.05)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(wait())
    assert len(Log(tmp_path).sql("select id from predictions").rows()) == 10


def test_the_server_imports_no_duckdb() -> None:
    modules = "salver.cli.serve, salver.server.app, salver.server.labels, salver.monitors.measured, salver.embedded.model"
    code = f"import sys, {modules}; print(sorted({{'duckdb', 'pyarrow', 'pandas'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
