"""Blocks: many rows as one line, which every reader of the log sees as the rows that they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from salver.engine.batch import Batch
from salver.engine.recorder import Recorder
from salver.engine.request import Request
from salver.log import blocks
from salver.log.blocks import lines_of, records, rows_in
from salver.log.commit import snapshot
from salver.log.compact import compact
from salver.log.erase import erase
from salver.log.news import news, predictions
from salver.log.reader import read_records
from salver.log.segment import SegmentWriter
from salver.log.table import PREDICTIONS, Table
from salver.log.tail import last
from salver.log.view import Log
from salver.types.policies import FlaggedColumns
from salver.types.rows import RowChecker
from salver.types.signature import Column, Output, Signature

COUNT = 100
SIGNATURE = Signature(
    (
        Column("a", low=-1e9, high=1e9),
        Column("b", "float32", nullable=True, infinite=True),
        Column("n", "int64"),
        Column("who", "string", nullable=True, on_missing="warn"),
        Column("flag", "bool"),
        Column("image", "float32", (2, 2)),
    ),
    (Output("prediction", "int64", classes=("no", "yes")), Output("probabilities", "float64", (2,))),
)


def columns(count: int = COUNT) -> dict[str, Any]:
    draw = np.random.default_rng(0)
    b = draw.normal(size=count)
    b[:3] = (np.nan, np.inf, -np.inf)
    who: Any = np.array(["ž", None, "b"] * (count // 3 + 1), object)[:count]
    made = FlaggedColumns(
        a=draw.normal(size=count),
        b=b,
        n=draw.integers(-(2**62), 2**62, count),
        who=who,
        flag=draw.random(count) < 0.5,
        image=draw.normal(size=(count, 2, 2)).astype("float32"),
    )
    made["a"][7] = 2e9
    made.flags = {1: {"who": "missing"}}
    return made


def request(columns: Any = None, rows: Any = None, keys: Any = None, source: str = "grpc") -> Request:
    count = len(columns["a"]) if columns is not None else len(rows)
    return Request(
        columns=columns,
        rows=rows,
        keys=keys,
        count=count,
        size_bytes=0,
        arrived_ns=0,
        source=source,
        trace="t" if columns else None,
    )


def batch(*requests: Request) -> Batch:
    count = sum(one.count for one in requests)
    outputs = {"prediction": ["no", "yes"] * (count // 2) + ["no"] * (count % 2), "probabilities": [[0.25, 0.75]] * count}
    ids = [f"01a204bd-1bdb-7000-b1d3-{i:012x}" for i in range(count)]
    return Batch(list(requests), {}, outputs, ids, 0)


def written(made: Batch) -> bytes:
    return Recorder("m", 3, SIGNATURE, "live").lines(made)


def as_lines(made: Batch) -> list[Any]:
    """What would be written without blocks."""
    return list(records(Recorder("m", 3, SIGNATURE, "live")._lines(made).splitlines()))


def same(one: Any, other: Any) -> bool:
    return msgspec.structs.replace(one, ts=0) == msgspec.structs.replace(other, ts=0)


def test_a_block_is_the_lines_that_it_stands_for() -> None:
    made = batch(request(columns()))
    lines = written(made)
    assert lines.count(b"\n") == 1 and lines.startswith(blocks.BEGIN)
    got, want = list(records(lines.splitlines())), as_lines(made)
    assert len(got) == COUNT and all(map(same, got, want))
    assert got[0].inputs["b"] is None and got[1].inputs["b"] == "Infinity"
    assert got[1].flags == {"who": "missing"} and got[7].flags == {"a": "out_of_range"} and got[8].flags is None
    assert len(lines) < len(lines_of(lines)) / 2


def test_requests_of_all_kinds_in_one_batch() -> None:
    some = [[1.0, 2.0, 3, "a", True, [[1, 2], [3, 4]]]] * 2
    few = {name: values[:5] for name, values in columns().items()}
    made = batch(request(rows=some, keys=["k", None]), request(columns()), request(few), request(columns(), keys=["x"] * COUNT))
    lines = written(made)
    got, want = list(records(lines.splitlines())), as_lines(made)
    assert lines.count(blocks.BEGIN) == 1 and rows_in(lines) == len(got) == 2 + COUNT + 5 + COUNT
    assert all(map(same, got, want))


def test_few_rows_are_lines() -> None:
    assert written(batch(request(columns(63)))).count(b"\n") == 63


def test_blocks_are_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BYTES", 2000)
    made = batch(request(columns()))
    lines = written(made)
    assert 2 < lines.count(b"\n") < 9 and max(map(len, lines.splitlines())) < 10_000
    assert all(map(same, records(lines.splitlines()), as_lines(made)))


@pytest.mark.parametrize(("sent", "dtype"), [(np.float32, "<f4"), (np.float64, "<f8")])
def test_numbers_that_were_sent_in_four_bytes_are_kept_in_four(sent: Any, dtype: str) -> None:
    signature = Signature((Column("a", nullable=True), Column("b", infinite=True)), SIGNATURE.outputs)
    values = np.random.default_rng(0).normal(size=(2, COUNT)).astype(sent)
    values[0, 0], values[1, 1] = np.nan, np.inf
    made = batch(request(RowChecker(signature).check_columns({"a": values[0], "b": values[1]})))
    recorder = Recorder("m", 3, signature, "live")
    lines = recorder.lines(made)
    assert lines.count(f'"{dtype}"'.encode()) == 2
    assert all(map(same, records(lines.splitlines()), records(recorder._lines(made).splitlines())))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with a block, lines with keys, and half a block at the end, as a killed process leaves it."""
    folder, writer = tmp_path / "log", SegmentWriter(tmp_path / "log")
    made = batch(request(columns()), request(rows=[[1.0, 2.0, 3, "a", True, [[1, 2], [3, 4]]]] * 2, keys=["k", "l"]))
    lines = written(made)
    writer.append(lines)
    writer.close()
    (path,) = folder.glob("*.jsonl")
    with path.open("ab") as file:
        file.write(lines[: len(lines) // 3])
    return folder


def test_every_reader_sees_rows(log: Path) -> None:
    want = list(read_records(log))
    assert len(want) == COUNT + 2
    assert last(log, 1000) == want and last(log, 3) == want[-3:]
    found = Log(log).sql("select id::VARCHAR, a, b, who, prediction, flags from m order by id").rows()
    assert [row[0] for row in found] == [one.id for one in want]
    assert found[5][1] == want[5].inputs["a"] and found[5][3:5] == (want[5].inputs["who"], want[5].outputs["prediction"])
    some = news(snapshot(Table(log, PREDICTIONS)), {})
    assert sum(len(arrays["ts"]) for arrays in predictions(some, "m", "prediction")) == COUNT + 2


def test_many_are_read_by_duckdb(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("salver.log.news.FEW_BYTES", 0)
    some = news(snapshot(Table(log, PREDICTIONS)), {})
    assert some.hot
    assert sum(len(arrays["ts"]) for arrays in predictions(some, "m", "prediction")) == COUNT + 2


def test_compaction_makes_them_rows(log: Path) -> None:
    query = "select * exclude (date) from predictions order by id"
    before = Log(log).sql(query).rows()
    (log / ".unfolding").mkdir()
    (log / ".unfolding" / "left.lines").write_bytes(b"{}")
    done = compact(log, grace_s=0)
    assert done is not None and (done.segments, done.rows) == (1, COUNT + 2)
    assert not list(log.glob("*.jsonl")) and not (log / ".unfolding").exists()
    assert Log(log).sql(query).rows() == before


def test_erasing_leaves_blocks_alone(log: Path) -> None:
    assert erase(log, "m", "k").predictions == 1
    assert len(list(read_records(log))) == COUNT + 1
