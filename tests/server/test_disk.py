"""Real disks that are full, read-only or stall, below a real server's log: what is refused, what goes on, what is counted."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from benchmarks.openloop import BROKEN, arrivals, offered, question
from salver.log.reader import read_records
from tests.disk import Disk, mounted
from tests.echo import echo_folder
from tests.serving import Served, serving


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path) as made:
        yield made


def serving_on(disk: Disk, tmp_path: Path, settings: str = "") -> Any:
    log = disk.folder / "log"
    log.mkdir()
    (log / "log.toml").write_text(settings)
    return serving([echo_folder(tmp_path / "echo")], store=tmp_path / "store", arguments=["--log", str(log)])


def ask(server: Served, timeout: float = 30) -> httpx.Response:
    return httpx.post(f"{server.url}/predict", json={"features": [1]}, timeout=timeout)


def metric(server: Served, name: str) -> float:
    text = httpx.get(f"{server.url}/metrics", timeout=5).text
    return float(text.partition(f"\n{name} ")[2].split()[0])


def until(server: Served, name: str, value: float, never: bool = False) -> None:
    deadline = time.monotonic() + 15
    while (metric(server, name) == value) == never:
        assert time.monotonic() < deadline, f"{name} is {metric(server, name)}"
        time.sleep(0.05)


def until_it_hangs(process: psutil.Process) -> None:
    """Until its write hangs in the kernel. What it has accepted just before waits too, and is not what is tried."""
    deadline = time.monotonic() + 10
    while process.status() != psutil.STATUS_DISK_SLEEP:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_full_and_read_only_disks_refuse_and_lose_nothing(disk: Disk, tmp_path: Path) -> None:
    with serving_on(disk, tmp_path) as server:
        answers = [ask(server)]
        filling = disk.fill()
        answers += [ask(server) for _ in range(40)]
        assert answers[-1].status_code == 503 and answers[-1].json()["code"] == "log_unavailable"
        assert httpx.get(f"{server.url}/health/ready").status_code == 200 and metric(server, "salver_log_healthy") == 0
        filling.unlink()
        answers.append(ask(server))
        assert answers[-1].status_code == 200 and metric(server, "salver_log_healthy") == 1
    ids = [answer.json()["id"] for answer in answers if answer.status_code == 200]
    assert [record.id for record in read_records(disk.folder)] == ids
    assert metric_of(answers, 503) >= 1
    disk.read_only(True)
    with serving(
        [echo_folder(tmp_path / "e2")], store=tmp_path / "s2", arguments=["--log", str(disk.folder / "log")]
    ) as server:
        assert ask(server).json()["code"] == "log_unavailable"
        disk.read_only(False)
        ids.append(ask(server).raise_for_status().json()["id"])
    assert [record.id for record in read_records(disk.folder)] == ids


def metric_of(answers: list[httpx.Response], status: int) -> int:
    return sum(answer.status_code == status for answer in answers)


def test_on_a_stalled_disk_what_looks_is_answered_and_predictions_are_refused(disk: Disk, tmp_path: Path) -> None:
    with serving_on(disk, tmp_path) as server:
        ids = [ask(server).json()["id"]]
        hanging: list[httpx.Response] = []
        client = threading.Thread(target=lambda: hanging.append(ask(server, 60)))
        with disk.stalled():
            client.start()
            process = psutil.Process(server.process.pid)
            until_it_hangs(process)
            answer = ask(server, 10)
            assert answer.status_code == 503
            assert answer.json()["code"] == "log_unavailable" and "retry-after" in answer.headers
            before = process.memory_info().rss
            took: list[float] = []
            for _ in range(60):
                started = time.perf_counter()
                assert ask(server, 5).status_code == 503
                assert httpx.get(f"{server.url}/health/live", timeout=5).status_code == 200
                took.append(time.perf_counter() - started)
            assert sorted(took)[len(took) // 2] < 0.5 and max(took) < 5
            assert process.memory_info().rss - before < 4 * 2**20
            assert metric(server, "salver_log_healthy") == 0 and metric(server, "salver_log_lag_seconds") > 0.2
            assert httpx.get(f"{server.url}/models", timeout=5).json()["models"][0]["name"] == "echo"
            assert httpx.get(f"{server.url}/health/ready", timeout=5).status_code == 503
            assert not hanging
        client.join(30)
        ids.append(hanging[0].raise_for_status().json()["id"])  # it was answered once its line was written
        until(server, "salver_log_healthy", 1)
        deadline_s = time.monotonic() + 10
        while (answer := ask(server)).status_code == 503:  # who stood in leaves within a moment
            assert time.monotonic() < deadline_s
        ids += [answer.json()["id"], *(ask(server).raise_for_status().json()["id"] for _ in range(5))]
    assert [record.id for record in read_records(disk.folder)] == ids


@pytest.mark.parametrize("policy", ["block", "drop"])
def test_ten_times_too_much_on_a_stalled_disk(disk: Disk, tmp_path: Path, policy: str) -> None:
    """Memory stays as it is, and what was answered and what was dropped is known to the line."""
    with serving_on(disk, tmp_path, f'when_full = "{policy}"\n') as server:
        ids = [ask(server).json()["id"]]
        hanging = threading.Thread(target=lambda: ids.append(ask(server, 60).json()["id"]))
        process = psutil.Process(server.process.pid)
        asked = question(f"{server.url}/predict", b'{"features": [1]}')
        with disk.stalled():
            hanging.start()
            if policy == "block":
                until_it_hangs(process)
            until(server, "salver_log_healthy" if policy == "block" else "salver_log_queued_bytes", 0, never=policy == "drop")
            with offered(f"{server.url}/predict", [asked], arrivals(4000, 1.0), connections=64, timeout_s=5) as load:
                load.result()  # pools and buffers have their size
            before = process.memory_info().rss
            with offered(f"{server.url}/predict", [asked], arrivals(4000, 4.0), connections=64, timeout_s=5) as load:
                run = load.result()
            grown = process.memory_info().rss - before
        hanging.join(30)
        until(server, "salver_log_queued_bytes", 0)
        dropped = metric(server, "salver_log_dropped_lines_total")
    good = [json.loads(answer.body)["id"] for answer in run.answers if answer.status == 200]
    assert set(run.statuses) <= {200, 503, BROKEN} and grown < 32 * 2**20
    assert (len(good) == len(run.answers)) == (policy == "drop")
    logged = [record.id for record in read_records(disk.folder)]
    assert len(set(logged)) == len(logged) and set(ids + good) <= set(logged) and dropped == 0


def test_with_drop_a_stalled_disk_is_not_noticed_by_callers(disk: Disk, tmp_path: Path) -> None:
    with serving_on(disk, tmp_path, 'when_full = "drop"\n') as server:
        answered = [ask(server).json()["id"]]
        until(server, "salver_log_queued_bytes", 0)
        with disk.stalled():
            for _ in range(100):
                answered.append(ask(server, 5).raise_for_status().json()["id"])
            assert metric(server, "salver_log_queued_bytes") > 0 and metric(server, "salver_log_lag_seconds") > 0
        until(server, "salver_log_queued_bytes", 0)
        answered.append(ask(server).json()["id"])
        dropped = metric(server, "salver_log_dropped_lines_total")
    assert dropped == 0
    assert [record.id for record in read_records(disk.folder)] == answered
