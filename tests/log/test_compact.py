"""Hot to cold: every row exactly once, whoever is killed and whenever."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from salver.log.commit import ColdFile, Commit, Conflict, create, latest, snapshot
from salver.log.compact import SMALL_FILES, compact, scattered
from salver.log.segment import SegmentWriter
from salver.log.table import LOCK, PREDICTIONS, Table
from salver.log.view import Log
from tests.log.rows import encoder, record, some, write

_WRITER = """
import sys, time
from pathlib import Path
from salver.log.segment import SegmentWriter
from tests.log.rows import IDS, encoder, record

writer = SegmentWriter(Path(sys.argv[1]), segment_bytes=30_000)
while True:
    ids = IDS.batch(20)
    writer.append(encoder.encode_lines([record(made) for made in ids]))
    print(*ids, flush=True)  # they are answered
"""


def ids(log: Path) -> list[str]:
    return sorted(str(row[0]) for row in Log(log).sql("select id from predictions").rows())


def test_rows_are_the_same_before_and_after(tmp_path: Path) -> None:
    records = [*some(300), *some(100, model="other", version=2, key="k", flags={"x": "missing"}, weight=4.0)]
    write(tmp_path, records, segment_bytes=20_000)
    query = "select * from predictions order by id"
    hot = Log(tmp_path).sql(query).rows()
    done = compact(tmp_path, grace_s=0)
    assert done and done.rows == 400
    assert Log(tmp_path).sql(query).rows() == hot
    assert len(hot) == 400
    assert not list(tmp_path.glob("*.jsonl"))
    assert {path.parts[-4:-1] for path in tmp_path.rglob("*.parquet")} == {
        (f"model={model}", f"version={version}", f"date={time.strftime('%Y-%m-%d', time.gmtime())}")
        for model, version in (("m", 1), ("other", 2))
    }


def test_a_segment_that_is_written_stays_hot(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path)
    (first,) = some(1)
    writer.append(encoder.encode(first) + b"\n")
    done = compact(tmp_path, grace_s=0)
    assert done and done.segments == 0
    assert ids(tmp_path) == [first.id]
    writer.close()
    done = compact(tmp_path, grace_s=0)
    assert done and done.rows == 1
    assert ids(tmp_path) == [first.id]


def test_torn_and_blank_lines_cost_themselves_alone(tmp_path: Path) -> None:
    good = some(3)
    lines = [encoder.encode(one) + b"\n" for one in good]
    (tmp_path / "a.jsonl").write_bytes(lines[0] + b"   \n" + lines[1] + lines[2][:40] + b"\n" + lines[2] + lines[0][:50])
    assert ids(tmp_path) == [one.id for one in good]
    done = compact(tmp_path, grace_s=0)
    assert done and done.rows == 3
    assert ids(tmp_path) == [one.id for one in good]


def test_a_reader_that_began_before_ends_well(tmp_path: Path) -> None:
    write(tmp_path, some(10))
    before = snapshot(Table(tmp_path, PREDICTIONS))
    compact(tmp_path)
    assert all(path.exists() for path in before.hot)  # for a minute
    compact(tmp_path, grace_s=0)
    assert not any(path.exists() for path in before.hot)
    assert len(ids(tmp_path)) == 10


def test_many_small_files_become_one(tmp_path: Path) -> None:
    for _ in range(SMALL_FILES):
        write(tmp_path, some(2))
        compact(tmp_path, grace_s=0)
    assert len(latest(Table(tmp_path, PREDICTIONS)).files) == 1
    assert len(list(tmp_path.rglob("*.parquet"))) == 1
    assert len(ids(tmp_path)) == 2 * SMALL_FILES


@pytest.mark.parametrize(
    ("rows", "bytes_a_row", "merged"), [(1000, 20_000, 0), (1000, 10_000, 8), (10, 90_000, 8), (4000, 10_000, 0)]
)
def test_files_of_large_rows_stay_apart(rows: int, bytes_a_row: int, merged: int) -> None:
    files = tuple(ColdFile(f"model=m/date=d/{n}", "m", "d", rows, rows * bytes_a_row) for n in range(SMALL_FILES))
    assert sum(map(len, scattered(Commit(files=files)))) == merged


def test_a_number_is_taken_once(tmp_path: Path) -> None:
    table = Table(tmp_path, PREDICTIONS)
    create(table, Commit(number=1))
    with pytest.raises(Conflict):
        create(table, Commit(number=1))


def test_what_no_commit_knows_is_swept(tmp_path: Path) -> None:
    write(tmp_path, some(2))
    compact(tmp_path, grace_s=0)
    (known,) = tmp_path.rglob("*.parquet")
    known.with_name("orphan.parquet").write_bytes(known.read_bytes())
    assert len(ids(tmp_path)) == 2
    compact(tmp_path, grace_s=0)
    assert list(tmp_path.rglob("*.parquet")) == [known]


def test_two_compactors_do_not_meet(tmp_path: Path) -> None:
    from salver.log.locks import held

    write(tmp_path, some(2))
    with held(tmp_path / LOCK) as mine:
        assert mine
        assert compact(tmp_path) is None


@pytest.mark.parametrize("rounds", [5, pytest.param(50, marks=pytest.mark.soak)])
def test_killed_at_any_moment_every_answered_row_is_there_once(tmp_path: Path, rounds: int) -> None:
    draw = random.Random(rounds)
    answered: list[str] = []
    for _ in range(rounds):
        writers = [_start("-c", _WRITER, tmp_path) for _ in range(4)]
        compactors = [_start("-m", "salver.log.compact", tmp_path) for _ in range(2)]
        time.sleep(draw.uniform(0.3, 1.2))
        for process in [*compactors, *writers]:
            process.send_signal(signal.SIGKILL)
        for process in writers:
            said, _ = process.communicate()
            answered += [
                made for line in said.decode().splitlines(keepends=True) if line.endswith("\n") for made in line.split()
            ]
        for process in compactors:
            process.communicate()
        _check(tmp_path, answered)
    compact(tmp_path, grace_s=0)
    _check(tmp_path, answered)
    assert not list(tmp_path.glob("*.jsonl"))


def _start(*arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ}
    )  # fmt: skip


def _check(log: Path, answered: list[str]) -> None:
    found = ids(log)
    assert len(found) == len(set(found)), "a row is there twice"
    assert set(answered) <= set(found), "an answered row is missing"


def test_reading_while_it_becomes_cold(tmp_path: Path) -> None:
    """Every count is one that was true at some time: nothing twice, nothing missing."""
    process = _start("-c", _WRITER, tmp_path)
    try:
        before = 0
        for _ in range(10):
            compacting = _start("-c", "import sys; from pathlib import Path; from salver.log.compact import compact; "
                                "compact(Path(sys.argv[1]), grace_s=0)", tmp_path)  # fmt: skip
            while compacting.poll() is None:
                ((rows, different),) = Log(tmp_path).sql("select count(*), count(distinct id) from predictions").rows()
                assert rows == different >= before
                before = rows
            compacting.communicate()
    finally:
        process.kill()
        process.communicate()
    assert before


def test_models_are_tables_with_their_columns(tmp_path: Path) -> None:
    write(tmp_path, [record(made, inputs={"x": 1.5, "id": "a"}, outputs={"prediction": "no"}) for made in ids_of(3)])
    (row, *_) = Log(tmp_path).sql("select * from m").dicts()
    assert {"x": 1.5, "input_id": "a", "prediction": "no", "version": 1}.items() <= row.items()
    assert Log(tmp_path).to_arrow("m").num_rows == 3
    assert Log(tmp_path).models() == ["m"]


def ids_of(count: int) -> list[str]:
    return [one.id for one in some(count)]
