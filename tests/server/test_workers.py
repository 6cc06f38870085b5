"""`salver serve --workers N`: one socket, one copy of the models, and a worker for each that ends."""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from salver.log.reader import read_records
from salver.registry.registry import Registry
from tests.models import churn_file, iris_file
from tests.registry.artifacts import WIDTH, linear_artifact
from tests.registry.s3 import BUCKET, s3_server
from tests.serving import Served, serving

ROWS = {
    "iris_model": {"features": [5.1, 3.5, 1.4, 0.2]},
    "churn": {"features": {"age": 33, "spend": 12, "plan": "pro"}},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("models")
    return [iris_file(folder), churn_file(folder)]


@pytest.fixture(scope="module")
def workers(models: list[Path], store: Path) -> Iterator[Served]:
    with serving(models, store=store, arguments=["--workers", "2"]) as served:
        yield served


def pids(served: Served) -> list[int]:
    return [child.pid for child in psutil.Process(served.process.pid).children()]


def until(true: Callable[[], bool], what: str, within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def ask(served: Served, model: str = "iris_model") -> httpx.Response:
    return httpx.post(f"{served.url}/models/{model}/predict", json=ROWS[model])


def test_every_worker_answers_with_models_of_each_kind(workers: Served) -> None:
    """A linear model in numpy and a graph in ONNX Runtime, woken before the fork."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda turn: ask(workers, "churn" if turn % 2 else "iris_model").json(), range(100)))
    assert all(answer["prediction"] in (0, "no", "yes") for answer in answers)
    ids = [answer["id"] for answer in answers]
    assert len(set(ids)) == len(ids)
    assert set(ids) <= {record.id for record in read_records(workers.store / "log")}


def test_any_worker_tells_what_all_have_counted_even_one_that_ended(workers: Served) -> None:
    before, restarts = settled(workers), counted(workers, "salver_worker_restarts_total")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: ask(workers), range(40)))
    until(lambda: {counted(workers) for _ in range(12)} == {before + 40}, "not all have told what they counted")
    ended = pids(workers)[1]
    os.kill(ended, signal.SIGKILL)
    until(lambda: len(pids(workers)) == 2 and ended not in pids(workers), "no other worker")
    assert {counted(workers) for _ in range(6)} == {before + 40}
    ask(workers)
    until(lambda: counted(workers) == before + 41, "it counts no more")
    until(lambda: counted(workers, "salver_worker_restarts_total") == restarts + 1, "nobody counts that it was replaced")


def settled(served: Served) -> float:
    """What is counted once every worker has said what it did before."""
    seen = [counted(served)]
    while len(seen) < 6 or len({*seen[-6:]}) > 1:
        time.sleep(0.1)
        seen.append(counted(served))
    return seen[-1]


def counted(served: Served, name: str = "salver_predictions_total") -> float:
    text = httpx.get(f"{served.url}/metrics").text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    found = [s.value for s in samples if s.name == name and s.labels.get("model", "iris_model") == "iris_model"]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("count", [16, 32])
def test_workers_share_connections_evenly(workers: Served, count: int) -> None:
    address = httpx.URL(workers.url)
    until(lambda: sum(connections(workers)) == 0, "connections are left")
    for _ in range(3):
        with ExitStack() as stack:
            for _ in range(count):
                stack.enter_context(socket.create_connection((address.host, address.port)))
            until(lambda: sum(connections(workers)) == count, "not all are accepted")
            assert max(connections(workers)) - min(connections(workers)) <= count // 8
        until(lambda: sum(connections(workers)) == 0, "connections are left")


def connections(served: Served) -> list[int]:
    """How many each worker has."""
    every = [psutil.Process(pid).net_connections("tcp") for pid in pids(served)]
    return [sum(one.status == psutil.CONN_ESTABLISHED for one in its) for its in every]


def test_a_worker_that_ended_or_hangs_is_replaced(workers: Served) -> None:
    before = pids(workers)
    os.kill(before[0], signal.SIGKILL)
    until(lambda: len(pids(workers)) == 2 and before[0] not in pids(workers), "no other worker")
    until(lambda: "ended of SIGKILL; another is started" in workers.output.read_text(), "nothing is said")
    assert httpx.get(f"{workers.url}/health/ready").status_code == 200
    assert all(ask(workers).status_code == 200 for _ in range(20))


def test_what_one_is_asked_to_let_go_or_wake_all_do(workers: Served) -> None:
    def answers() -> set[int]:
        return {ask(workers).status_code for _ in range(12)}

    path = f"{workers.url}/v2/repository/models/iris_model"
    assert httpx.post(f"{path}/unload").status_code == 200
    until(lambda: answers() == {404}, "some still answer")
    assert httpx.post(f"{path}/load").status_code == 200
    until(lambda: answers() == {200}, "some do not answer again")


def test_models_of_an_object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What reaches the store has threads, and would hang in a process that was forked from it."""
    with s3_server(tmp_path) as environment:
        for name, value in {**environment, "XDG_DATA_HOME": str(tmp_path / "data")}.items():
            monkeypatch.setenv(name, value)
        Registry(f"s3://{BUCKET}/prod").publish(linear_artifact(tmp_path / "made"))
        with serving([], arguments=["--workers", "2", "--store", f"s3://{BUCKET}/prod"]) as served:
            answer = httpx.post(f"{served.url}/predict", json={"features": [0.5] * WIDTH})
            assert answer.json()["version"] == 1


def test_told_to_stop_every_process_ends(models: list[Path], store: Path) -> None:
    for how in (signal.SIGTERM, signal.SIGINT):
        with serving(models[:1], store=store, arguments=["--workers", "2"]) as served:
            every = pids(served)
            served.process.send_signal(how)
            assert served.process.wait(10) == 0
            assert not any(map(psutil.pid_exists, every))
            assert "Traceback" not in served.output.read_text()


@pytest.mark.parametrize("after_ms", [0, 1, 3, 10])
def test_a_worker_that_has_just_begun_hears_that_all_are_to_stop(tmp_path: Path, after_ms: int) -> None:
    model = linear_artifact(tmp_path / "made")
    arguments = ["--workers", "2", "--no-monitor"]
    with serving([model], store=tmp_path / "store", arguments=arguments) as served:
        until(lambda: len(pids(served)) == 2 and httpx.get(f"{served.url}/health/ready").is_success, "not ready")
        before = pids(served)
        os.kill(before[-1], signal.SIGKILL)
        while {*pids(served)} <= {*before}:
            pass
        time.sleep(after_ms / 1000)
        served.process.terminate()
        assert served.process.wait(20) == 0


def test_workers_do_not_outlive_their_supervisor(models: list[Path], store: Path) -> None:
    with serving(models[:1], store=store, arguments=["--workers", "2"]) as served:
        every = pids(served)
        served.process.kill()
        served.process.wait()
        until(lambda: not any(psutil.pid_exists(pid) and _runs(pid) for pid in every), "workers are left")


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("seconds", [8, pytest.param(300, marks=pytest.mark.soak)])
def test_killing_workers_at_random_loses_only_what_was_in_flight_in_them(models: list[Path], store: Path, seconds: int) -> None:
    """Each client has one request at a time, so a kill may cost each client on that worker one, and nobody else anything."""
    chance = random.Random(7)
    with serving(models[:1], store=store, arguments=["--workers", "2"]) as served:
        stop = threading.Event()
        with ThreadPoolExecutor(12) as pool:
            asking = [pool.submit(_ask_until, served, stop) for _ in range(12)]
            allowed, end = 0, time.monotonic() + seconds
            while time.monotonic() < end:
                time.sleep(chance.uniform(0.5, 2))
                until(lambda: len(pids(served)) == 2, "no other worker", 40)
                victim = chance.choice(pids(served))
                os.kill(victim, signal.SIGSTOP)  # so that what it has can be counted before it ends
                allowed += connections(served)[pids(served).index(victim)]
                os.kill(victim, signal.SIGKILL)
                until(lambda ended=victim: ended not in pids(served), "it does not end")
            stop.set()
            answered = [ids for asked in asking for ids in asked.result()[0]]
            lost = sum(asked.result()[1] for asked in asking)
        assert lost <= allowed
        assert len(set(answered)) == len(answered) > 100 * seconds
    logged = Counter(record.id for record in read_records(store / "log"))
    assert all(logged[id] == 1 for id in answered)


def _ask_until(served: Served, stop: threading.Event) -> tuple[list[str], int]:
    """The ids of the answers, and how many requests got none."""
    answered, lost = list[str](), 0
    while not stop.is_set():
        with httpx.Client(base_url=served.url) as client:
            try:
                while not stop.is_set():
                    answer = client.post("/predict", json=ROWS["iris_model"])
                    assert answer.status_code == 200
                    answered.append(answer.json()["id"])
            except httpx.TransportError:
                lost += 1
    return answered, lost
