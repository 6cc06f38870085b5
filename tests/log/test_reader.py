"""The reading end of the log."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from salver.log.reader import read_records, segments
from salver.log.record import Record, encoder, object_maker
from tests.log.test_segment import line


def test_no_log_has_no_records(tmp_path: Path) -> None:
    assert list(read_records(tmp_path)) == []
    assert list(read_records(tmp_path / "none")) == []


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = Record("id", 5, "m", 2, "live", "http", 7, {"a": None, "b": "ü"}, {"prediction": [1, "x"]}, "key", "trace")
    (tmp_path / "a.jsonl").write_bytes(encoder.encode(record) + b"\n")
    assert list(read_records(tmp_path)) == [record]


def test_segments_are_read_in_order_and_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name in ("2.jsonl", "1.jsonl", "below/3.jsonl", "4.parquet"):
        (tmp_path / name).write_bytes(line(name))
    assert [segment.name for segment in segments(tmp_path)] == ["1.jsonl", "2.jsonl", "3.jsonl"]
    assert [record.id for record in read_records(tmp_path)] == ["1.jsonl", "2.jsonl", "below/3.jsonl"]


def test_a_line_torn_anywhere_costs_itself_alone(tmp_path: Path) -> None:
    first, torn, last = line("first"), line("tørn"), line("last")
    segment = tmp_path / "a.jsonl"
    for at in range(len(torn) - 1):
        segment.write_bytes(first + torn[:at])
        assert [record.id for record in read_records(tmp_path)] == ["first"]
        segment.write_bytes(first + torn[:at] + b"\n" + last)
        assert [record.id for record in read_records(tmp_path)] == ["first", "last"]


@pytest.mark.parametrize("rubbish", [b"\n", b"\x00\x00\n", b"\xff\n", b"[]\n", b"{}\n", b"null\n", b"[" * 5000 + b"\n"])
def test_rubbish_costs_itself_alone(tmp_path: Path, rubbish: bytes) -> None:
    (tmp_path / "a.jsonl").write_bytes(line("a") + rubbish + line("b"))
    assert [record.id for record in read_records(tmp_path)] == ["a", "b"]


@pytest.mark.parametrize(
    "names", [[], ["a"], ["class", "a b", "é", ""], ['"', "\\"], ["a\nb", "c"], [f"x{i}" for i in range(300)]]
)
def test_inputs_are_written_by_column_whatever_the_columns_are_called(names: list[str]) -> None:
    made = object_maker(names)(*range(len(names)))
    assert msgspec.json.decode(encoder.encode(made)) == {name: i for i, name in enumerate(names)}
