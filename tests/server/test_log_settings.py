"""The log's settings, seen from outside: what a real server writes, and what it does when it can't."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import salver
from salver.log.compact import compact
from salver.log.reader import read_records
from salver.log.view import Log
from salver.monitors.comparison import reference_of
from salver.monitors.results import Watched
from salver.monitors.settings import Settings, read_settings
from salver.monitors.store import Store
from salver.monitors.watch import look, promote
from salver.registry.registry import Registry
from salver.server.housekeeping import look_after
from salver.types.signature import Column
from tests.echo import echo_folder
from tests.log.rows import some, write
from tests.models import churn_file, iris_file
from tests.serving import SALVER, Served, serving

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


HIDDEN = {"a": "planted-dropped", "b": "planted-hashed", "c": "plan-truncated", "d": 717.2531}
PEOPLE = """
[models.people]
key = "hash"
[models.people.columns]
a = "drop"
b = "hash"
c = { truncate = 5 }
d = { truncate = 1 }
"""


def test_what_is_not_to_be_written_is_in_nothing_that_is_made_of_the_log(tmp_path: Path) -> None:
    """Nor in a shadow's lines, batches, joined arrays, the monitor's windows, alarms and report, accuracy, the audit log."""
    store, columns = configured(tmp_path / "store", PEOPLE), (Column("x0"), *map(_text, "abc"), Column("d"))
    registry, golden = Registry(store), [[1.0, "a", "b", "c", 1.0]]
    for version in ("1", "2"):
        registry.publish(echo_folder(tmp_path / version / "people", columns=columns, rows=golden))
    registry.shadow("people@2")
    rows = [{"x0": float(i), **HIDDEN} for i in range(300)]
    with (
        serving([], store=store, arguments=["--watch", "0.2"]) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        url = "/models/people"
        _wait(lambda: client.get(url).json()["shadows"][0]["state"] == "ready")
        asked = {"instances": rows, "keys": [PLANTED] * len(rows)}
        client.post(f"{url}/predict", json=asked).raise_for_status()
        _wait(lambda: client.get(url).json()["shadows"][0]["rows"] == len(rows))
        label = {"label": 1.0, "key": PLANTED}
        assert client.post(f"{url}/labels", json=label).json()["matched"] == 1
        wrong = [
            *(client.post(f"{url}/predict", json={"features": {**rows[0], **bad}}) for bad in ({"x0": PLANTED}, {PLANTED: 1})),
            client.post(f"{url}/labels", json={"label": PLANTED, "key": PLANTED}),
            client.post(f"{url}/promote", json={PLANTED: PLANTED}),
            client.post(f"{url}/erase", json={"keys": PLANTED}),
            client.post(
                f"/v2{url}/infer", json={"inputs": [{"name": PLANTED, "datatype": PLANTED, "shape": [1], "data": [1]}]}
            ),
        ]
        assert all(one.is_error for one in wrong)
        said = [*(one.text for one in wrong), client.get(f"{url}/accuracy?by=b").text, client.get("/metrics").text]
    pq.write_table(pa.Table.from_pylist([{**row, "id_": PLANTED} for row in rows[:50]]), tmp_path / "in.parquet")
    salver.batch("people", tmp_path / "in.parquet", tmp_path / "out.parquet", store=store, key="id_")
    compact(store / "log", grace_s=0)
    watched = _alarmed(store / "log")
    assert {(alarm.kind, alarm.column) for alarm in watched.alarms} >= {("drift", "x0"), ("drift", "b"), ("stuck", "c")}
    report = ["report", "people", "--output", str(store / "report.html")]
    asked_sql = ["log", "query", "select * from predictions, labels"]
    for command in (["monitor", "--once"], report, ["accuracy", "people"], asked_sql):
        done = subprocess.run([SALVER, *command, "--json", "--store", str(store)], capture_output=True, text=True, check=True)
        said.append(done.stdout + done.stderr)
    found = Log(store / "log").sql("select route, count(*) from predictions group by all order by all").rows()
    assert found == [("batch", 50), ("live", 300), ("shadow", 300)]
    windows = Store(store / "log")
    tracks = windows.tracks()
    assert {track.segment for track in tracks} >= {"", "c=plan-"}
    said += [str(window._plain()) for track in tracks for window in windows.slices(track)]
    said += [str(windows.verdicts(track, 10)) for track in tracks]
    windows.close()
    assert promote(store / "log", Settings(), "people", 1, 0, time.time_ns() // 1000)
    written = [path for path in store.rglob("*") if path.is_file()]
    said += [str(pq.read_table(path).to_pydict()) for path in written if path.suffix == ".parquet"]
    assert {"joined", "monitor", "audit", "labels"} <= {part for path in written for part in path.parts}
    for value in (PLANTED, *map(str, HIDDEN.values())):
        assert not [text for text in said if value in text]
        assert not [path for path in written if value.encode() in path.read_bytes()]


def _alarmed(log: Path) -> Watched:
    """What the monitor finds an hour later, beside a reference from which these rows differ in every column."""
    settings = 'slice = "1s"\nwindow = "1s"\n[rule]\nbad = 1\n[models.people]\nsegments = ["b", "c"]\n'
    (log / "monitor.toml").write_text(settings)
    texts = np.array(["plan-", "other"] * 500, dtype=object)
    before = reference_of({"x0": np.arange(1000.0) + 5000, "b": texts, "c": texts, "d": np.arange(1000.0)})
    found = look(log, read_settings(log), lambda model, version: before, time.time_ns() // 1000 + 3_600_000_000)
    return next(one for one in found if (one.version, one.route, one.segment) == (1, "live", ""))


def test_a_log_that_keeps_no_keys_takes_no_labels_by_key(tmp_path: Path) -> None:
    store = configured(tmp_path / "store", '[models.echo]\nkey = "drop"\n')
    with serving([echo_folder(tmp_path / "echo")], store=store) as server:
        answer = httpx.post(f"{server.url}/models/echo/labels", json={"label": 1.0, "key": PLANTED})
    assert (answer.status_code, "name the id" in answer.json()["detail"]) == (422, True)


def _text(name: str) -> Column:
    return Column(name, "string")


def _wait(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


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
