"""The long runs: servers and compaction killed again and again, a million labels, ten million rows. Short forms run always."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest

from salver.log.compact import compact
from salver.log.labels import Label, LabelWriter
from salver.log.record import encoder
from salver.log.segment import SegmentWriter
from salver.log.view import Log
from tests.echo import echo_folder
from tests.log.rows import IDS, record
from tests.serving import Served, serving

_MEASURE = """
import json, sys, time
from pathlib import Path
from salver.monitors.accuracy import accuracy
found = accuracy(Path(sys.argv[1]), "m")
took_s = time.process_time()
metrics = {name: one.value for name, one in found.groups[0].metrics.items()}
(peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
peak_bytes = int(peak.split()[1]) * 1024  # its own, while ru_maxrss begins with its parent's
print(json.dumps({"took_s": took_s, "labelled": found.groups[0].labelled, "metrics": metrics, "peak_bytes": peak_bytes}))
"""


@pytest.mark.parametrize("rounds", [2, pytest.param(50, marks=pytest.mark.soak)])
def test_four_workers_and_a_compactor_killed_under_load(tmp_path: Path, rounds: int) -> None:
    """Every answered id is in the log exactly once. Two workers end before the others, and are replaced."""
    model, store, draw = echo_folder(tmp_path / "echo"), tmp_path / "store", random.Random(rounds)
    answered: list[str] = []
    for _ in range(rounds):
        with serving([model], store=store, arguments=["--workers", "4"]) as server, _compacting(store / "log", draw):
            clients = [threading.Thread(target=_ask, args=(server, answered)) for _ in range(4)]
            for client in clients:
                client.start()
            supervisor = psutil.Process(server.process.pid)
            for _ in range(2):
                time.sleep(draw.uniform(0.1, 0.7))
                draw.choice(supervisor.children()).kill()
            time.sleep(draw.uniform(0.1, 0.7))
            supervisor.suspend()  # it starts no others now
            for process in (*supervisor.children(), supervisor):
                process.kill()
            for client in clients:
                client.join()
        found = [str(row[0]) for row in Log(store / "log").sql("select id from predictions").rows()]
        assert len(found) == len(set(found)), "a row is there twice"
        assert set(answered) <= set(found), "an answered row is missing"
    assert answered
    compact(store / "log", grace_s=0)
    assert not list((store / "log").glob("*.jsonl"))
    assert set(answered) <= {str(row[0]) for row in Log(store / "log").sql("select id from predictions").rows()}


def _ask(server: Served, answered: list[str]) -> None:
    with httpx.Client(timeout=30) as client:
        while True:
            try:
                answer = client.post(f"{server.url}/predict", json={"instances": [[1.0]] * 5})
            except httpx.TransportError:  # a worker ended, or all did
                if server.process.poll() is not None:
                    return
                continue
            answered += answer.json()["ids"]


@contextmanager
def _compacting(log: Path, draw: random.Random) -> Iterator[None]:
    """Compactions one after another, each killed at some moment."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            process = subprocess.Popen(
                [sys.executable, "-m", "salver.log.compact", str(log)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            try:
                process.wait(draw.uniform(0.2, 1.0))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("rows", [20_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_labels_in_any_order_late_and_revised(tmp_path: Path, rows: int) -> None:
    """5 % duplicates, 3 % unknown, 10 % revised, 30 days late: scikit-learn's numbers, and little to do the second time."""
    draw = np.random.default_rng(rows)
    scores = draw.random(rows)
    truth = (draw.random(rows) < scores).astype(int)
    ids = IDS.batch(rows)
    _predict(tmp_path, ids, scores)
    writer = LabelWriter(tmp_path)
    writer._clock._last = time.time_ns() // 1000 + 30 * 86_400_000_000  # 30 days from now
    order = draw.permutation(rows)
    revised = order[: rows // 10]
    first = truth.copy()
    first[revised] ^= 1
    _label(writer, [(ids[i], int(first[i])) for i in order])
    _label(writer, [(ids[i], int(first[i])) for i in order[-rows // 20 :]])
    _label(writer, [(ids[i], int(truth[i])) for i in revised])
    _label(writer, [(made, 1) for made in IDS.batch(rows * 3 // 100)])
    cold = _measure(tmp_path)
    _check(cold, truth, scores)
    truth[:1000] ^= 1
    _label(writer, [(ids[i], int(truth[i])) for i in range(1000)])
    writer.close()
    warm = _measure(tmp_path)
    _check(warm, truth, scores)
    print(f"\n{rows} rows: first {cold['took_s']:.1f} s, then {warm['took_s']:.2f} s of CPU, {cold['peak_bytes'] / 1e6:.0f} MB")
    assert cold["peak_bytes"] < 10**9
    if rows >= 1_000_000:  # of processor time, with the start of the process and all that it imports
        assert cold["took_s"] <= 10
        assert warm["took_s"] <= 0.1 * cold["took_s"]


def _predict(log: Path, ids: list[str], scores: Any) -> None:
    writer = SegmentWriter(log)
    for start in range(0, len(ids), 1000):
        batch = [
            record(made, outputs={"prediction": int(score > 0.5), "probabilities": [1 - score, score]})
            for made, score in zip(ids[start : start + 1000], scores[start : start + 1000].tolist(), strict=True)
        ]
        writer.append(encoder.encode_lines(batch))
    writer.close()


def _label(writer: LabelWriter, labels: list[tuple[str, int]]) -> None:
    for start in range(0, len(labels), 10_000):
        writer.append([Label(0, "m", label, made) for made, label in labels[start : start + 10_000]])


def _measure(log: Path) -> dict[str, Any]:
    """In a process of its own, with the one thread for matrices that every `salver` command has."""
    import json

    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(log)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _check(measured: dict[str, Any], truth: Any, scores: Any) -> None:
    from sklearn import metrics as sk

    guessed = (scores > 0.5).astype(int)
    assert measured["labelled"] == len(truth)
    want = {
        "accuracy": sk.accuracy_score(truth, guessed),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, guessed),
        "f1_macro": sk.f1_score(truth, guessed, average="macro"),
        "roc_auc": sk.roc_auc_score(truth, scores),
        "pr_auc": sk.average_precision_score(truth, scores),
        "log_loss": sk.log_loss(truth, scores),
        "brier": sk.brier_score_loss(truth, scores),
    }
    for name, value in want.items():
        assert f"{measured['metrics'][name]:.10g}" == f"{value:.10g}", name  # as it is printed


@pytest.mark.soak
def test_ten_million_rows_are_asked_in_seconds_and_bounded_memory(tmp_path: Path) -> None:
    rows, every = 10_000_000, 1_000_000
    for _ in range(rows // every):
        _predict(tmp_path, IDS.batch(every), np.full(every, 0.25))
        compact(tmp_path, grace_s=0)
    started = time.perf_counter()
    ((count, different, mean),) = Log(tmp_path).sql("select count(*), count(distinct id), avg(x) from m").rows()
    print(f"\n{rows} rows asked in {time.perf_counter() - started:.1f} s")
    assert (count, different, mean) == (rows, rows, 1.5)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < 6 * 10**9


@pytest.mark.soak
def test_more_lines_than_there_is_memory_for_become_parquet(tmp_path: Path) -> None:
    """A server that wrote faster than it looked after its log: 1.5 GB of hot lines, while DuckDB is given 1 GB."""
    inputs = {f"x{number}": number * 1.2345678901 for number in range(20)}
    lines = b"".join(encoder.encode(record(made_id, inputs=inputs)) + b"\n" for made_id in IDS.batch(20_000))
    writer = SegmentWriter(tmp_path)
    for _ in range(130):
        writer.append(lines)
    writer.close()
    done = compact(tmp_path, grace_s=0)
    assert done is not None and done.rows == 130 * 20_000
    assert Log(tmp_path).sql("select count(*) from predictions").rows() == [(done.rows,)]
