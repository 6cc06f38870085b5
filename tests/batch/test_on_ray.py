"""The same job on a Ray cluster: the same parts, the same answers; a worker that dies costs time only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

import salver
from salver.errors import ConfigError
from tests.batch.conftest import irises
from tests.serving import SALVER


def test_ray_answers_as_this_machine_does_though_a_worker_is_killed(models: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(6):
        pq.write_table(irises(60_000, seed=number), tmp_path / "in" / f"{number}.parquet")
    local = salver.batch("iris", tmp_path / "in", tmp_path / "local", store=models, log=False)
    killed: list[int] = []
    watch = threading.Thread(target=_kill_one_worker, args=(tmp_path / ".ray.salver" / "done", killed), daemon=True)
    watch.start()
    command = ["batch", "iris", str(tmp_path / "in"), str(tmp_path / "ray"), "--engine", "ray", "--workers", "2", "--no-log"]
    done = subprocess.run([SALVER, *command, "--store", str(models), "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    watch.join(30)
    assert killed, "no worker was there to be killed"
    assert (made["rows"], made["parts"]) == (local.rows, local.parts) == (360_000, 6)
    assert pq.read_table(tmp_path / "ray").equals(pq.read_table(tmp_path / "local"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "local", "ray"]


def _kill_one_worker(done: Path, killed: list[int]) -> None:
    """SIGKILL for a process that scores, before all is done."""
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s and not killed:
        for process in psutil.Process().children(recursive=True):
            try:
                if "MapWorker(MapBatches(Scoring))" in " ".join(process.cmdline()) and done.is_dir():
                    os.kill(process.pid, signal.SIGKILL)
                    killed.append(process.pid)
                    return
            except (psutil.Error, ProcessLookupError):
                continue
        time.sleep(0.01)


def test_ray_is_named_where_it_is_missing(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    pq.write_table(irises(10), tmp_path / "in.parquet")
    with pytest.raises(ConfigError, match=r"pip install 'salver\[ray\]'"):
        salver.batch("iris", tmp_path / "in.parquet", tmp_path / "out", store=models, log=False, engine="ray")
