"""Killed at any moment and run again, a job gives every row once, and nothing is left behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import salver
from tests.batch.conftest import irises
from tests.serving import SALVER

PARTS = 24
ROWS = 20_000
ROUNDS = 4
SOAK_ROUNDS = 100


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of many files, so that a job has many parts."""
    folder = tmp_path_factory.mktemp("killed") / "in"
    folder.mkdir()
    for number in range(PARTS):
        pq.write_table(irises(ROWS, seed=number), folder / f"{number:03}.parquet")
    return folder


def command(store: Path, table: Path, out: Path) -> list[str]:
    return [SALVER, "batch", "iris", str(table), str(out), "--store", str(store), "--log", str(out.parent / "log")]


def ordered(folder: Path) -> pa.Table:
    return pq.read_table(folder).sort_by("id")


def whole(store: Path, table: Path, folder: Path) -> tuple[pa.Table, float]:
    """What an undisturbed run gives, and how many seconds it takes."""
    started_s = time.monotonic()
    subprocess.run(command(store, table, folder / "whole"), check=True, capture_output=True)
    return ordered(folder / "whole"), time.monotonic() - started_s


def kill_and_resume(given: list[str], out: Path, wait_s: float) -> None:
    """One round: start, kill after a while, start again until it is done."""
    with subprocess.Popen(given, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            process.wait(wait_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert not out.exists() or (out / "_manifest.json").is_file(), "it is there before it is whole"
    done = subprocess.run(given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def rounds(store: Path, table: Path, folder: Path, count: int, seed: int) -> None:
    expected, whole_s = whole(store, table, folder)
    assert expected.num_rows == PARTS * ROWS
    draw = random.Random(seed)
    for number in range(count):
        place = folder / str(number)
        place.mkdir()
        kill_and_resume(command(store, table, place / "out"), place / "out", draw.uniform(0.3, 1.0) * whole_s)
        assert ordered(place / "out").equals(expected), f"round {number}"
        assert sorted(path.name for path in place.iterdir()) == ["log", "out"], f"round {number} left something behind"
        assert not [path for path in (place / "out").iterdir() if path.name.startswith(".")]
    found = salver.log(folder / "0").sql("select count(*), count(distinct id) from predictions").rows()
    assert found == [(expected.num_rows, expected.num_rows)]


def test_a_killed_job_goes_on_to_the_same_output(models: Path, table: Path, tmp_path: Path) -> None:
    rounds(models, table, tmp_path, ROUNDS, seed=int(os.environ.get("SALVER_TEST_SEED", "1")))


@pytest.mark.soak
def test_a_hundred_killed_jobs(models: Path, table: Path, tmp_path: Path) -> None:
    rounds(models, table, tmp_path, SOAK_ROUNDS, seed=time.time_ns())


def test_sigterm_stops_and_says_how_to_go_on(models: Path, table: Path, tmp_path: Path) -> None:
    given = command(models, table, tmp_path / "out")
    with subprocess.Popen(given, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while not list(tmp_path.glob(".out.salver/done/*.json")):
            assert process.poll() is None
            time.sleep(0.005)
        process.terminate()
        assert process.wait(20) == 130
        assert process.stderr
        assert "the same command goes on from here" in process.stderr.read()
    result = salver.batch("iris", table, tmp_path / "out", store=models, log=False)
    assert result.resumed > 0
    assert result.rows == PARTS * ROWS


def test_two_processes_do_not_do_one_job(models: Path, table: Path, tmp_path: Path) -> None:
    given = command(models, table, tmp_path / "out")
    with subprocess.Popen(given, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        while not (tmp_path / ".out.salver" / "job.json").exists():
            assert first.poll() is None
            time.sleep(0.005)
        second = subprocess.run(given, capture_output=True, text=True)
        assert second.returncode == 1
        assert "another process is at this job" in second.stderr
        assert first.wait(60) == 0
