"""Rows of a query in, a table out, in one transaction: SQLite, DuckDB, and a PostgreSQL that runs."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import salver
from salver.batch.database import Database
from salver.errors import ConfigError, InputError
from tests.batch.conftest import irises
from tests.batch.postgres import Postgres, postgres
from tests.serving import SALVER


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Postgres]:
    with postgres() as started:
        yield started


@pytest.fixture
def server(postgresql: Postgres) -> str:
    return postgresql.url


@pytest.fixture(params=["sqlite", "duckdb", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path, server: str) -> str:
    return server if request.param == "postgresql" else f"{request.param}:{tmp_path / 'rows.db'}"


def rows(url: str, query: str) -> list[dict[str, object]]:
    return [row for batch in Database.parse(url).read(query) for row in batch.to_pylist()]


def test_a_table_in_and_a_table_out(models: Path, tmp_path: Path, url: str) -> None:
    pq.write_table(irises(3000), tmp_path / "in.parquet")
    salver.batch("iris", tmp_path / "in.parquet", f"{url}#flowers", store=models, log=False)
    query = "select customer, x0, x1, x2, x3 from flowers order by customer"
    made = salver.batch("iris", url, f"{url}#scored", query=query, store=models, log=False)
    assert (made.rows, made.ran) == (3000, True)
    assert "postgres:" not in made.output
    joined = "flowers a join scored b on a.customer = b.customer order by length(a.customer), a.customer"
    found = rows(url, f"select a.prediction as before, b.prediction as after, b.probability_2 as p from {joined}")
    assert len(found) == 3000
    assert all(row["before"] == row["after"] for row in found)
    with salver.load("iris", store=models) as model:
        inputs = irises(3000).select(["x0", "x1", "x2", "x3"])
        assert [row["p"] for row in found] == pytest.approx(model.predict_proba(inputs)["2"].to_pylist(), abs=1e-15)

    again = salver.batch("iris", url, f"{url}#scored", query=query, store=models, log=False)
    assert not again.ran
    other = query.replace("order by", "where x0 > 6 order by")
    with pytest.raises(ConfigError, match="the input has changed since"):
        salver.batch("iris", url, f"{url}#scored", query=other, store=models, log=False)
    flowers = f"{url}#flowers"
    fewer = salver.batch("iris", flowers, flowers, keep=["customer"], overwrite=True, store=models, log=False)
    assert fewer.rows == len(rows(url, "select * from flowers")) == 3000


def test_what_goes_wrong_leaves_the_database_as_it_was(models: Path, tmp_path: Path, url: str) -> None:
    Database.parse(f"{url}#mine")  # no job made it
    pq.write_table(irises(10), tmp_path / "in.parquet")
    salver.batch("iris", tmp_path / "in.parquet", f"{url}#kept", store=models, log=False)
    with pytest.raises(ConfigError, match="names no table"):
        salver.batch("iris", tmp_path / "in.parquet", url, store=models, log=False)
    with pytest.raises(ConfigError):
        salver.batch("iris", f"{url}#nowhere", tmp_path / "out", store=models, log=False)
    with pytest.raises(InputError, match="the input has none of the model's columns"):
        salver.batch("iris", url, tmp_path / "out", query="select customer from kept", store=models, log=False)
    assert rows(url, "select count(*) as n from kept")[0]["n"] == 10
    assert not (tmp_path / "out").exists()


def test_numbers_that_are_decimal_in_postgresql(models: Path, tmp_path: Path, server: str) -> None:
    query = "select 5.1::numeric as x0, 3.5::numeric as x1, 1 as x2, 0.2::real as x3, now() as at, true as flag"
    salver.batch("iris", server, tmp_path / "out.parquet", query=query, store=models, log=False)
    row = pq.read_table(tmp_path / "out.parquet").to_pylist()[0]
    assert (row["prediction"], row["x0"], row["flag"]) == (0, 5.1, True)


def test_no_password_is_kept(tmp_path: Path) -> None:
    database = Database.parse("postgresql://me:secret@host:5433/db?sslmode=require#t")
    assert database.name == "postgresql://me@host:5433/db#t"
    assert "secret" not in repr(database)


def killed_at_random(postgresql: Postgres, models: Path, tmp_path: Path, count: int, rounds: int, seed: int) -> None:
    """A table into a table, by a job that is killed and a server that is restarted at random until the job is done."""
    pq.write_table(irises(count), tmp_path / "in.parquet")
    source, sink = f"{postgresql.url}#given{count}", f"{postgresql.url}#scored{count}"
    salver.batch("iris", tmp_path / "in.parquet", source, store=models, log=False)
    query = f"select customer, x0, x1, x2, x3 from given{count} order by customer"
    command = [SALVER, "batch", "iris", postgresql.url, sink, "--query", query]
    command += ["--store", str(models), "--no-log", "--overwrite"]
    started_s = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    whole_s, draw, ended = time.monotonic() - started_s, random.Random(seed), list[str]()
    expected = rows(postgresql.url, f"select * from scored{count} order by id")
    for number in range(rounds):
        postgres_dies = number % 2 == 1
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as job:
            assert job.stderr
            time.sleep(draw.uniform(0.3, 1.0) * whole_s)
            if postgres_dies:
                postgresql.kill()
                postgresql.start()
            else:
                job.send_signal(signal.SIGKILL)
            told = job.stderr.read()
        ended.append(f"{'server' if postgres_dies else 'job'} killed: {job.returncode}")
        assert job.returncode in ((0, 1) if postgres_dies else (0, -signal.SIGKILL)), told
        assert "Traceback" not in told
        left = rows(postgresql.url, f"select count(*) as n, count(distinct id) as ids from scored{count}")[0]
        assert left == {"n": count, "ids": count}, "what was there before stays until all is done"
        again = subprocess.run(command[:-1], capture_output=True, text=True)
        assert again.returncode == 0, again.stderr
        assert rows(postgresql.url, f"select * from scored{count} order by id") == expected, f"round {number}"
    print(f"{count:,} rows, {rounds} rounds of {whole_s:.1f} s: {', '.join(ended)}", file=sys.stderr)


def test_killed_jobs_and_a_killed_server_leave_each_row_once(postgresql: Postgres, models: Path, tmp_path: Path) -> None:
    killed_at_random(postgresql, models, tmp_path, 5_000, 2, int(os.environ.get("SALVER_TEST_SEED", "1")))


@pytest.mark.soak
def test_two_hundred_thousand_rows_and_twenty_kills(postgresql: Postgres, models: Path, tmp_path: Path) -> None:
    killed_at_random(postgresql, models, tmp_path, 200_000, 20, time.time_ns())
