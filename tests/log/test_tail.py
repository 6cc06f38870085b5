"""The end of the log: what was predicted last, in however many segments."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from salver.log import tail
from salver.log.tail import last
from tests.log.rows import some, write


def aged(log: Path, age_s: float) -> None:
    """Three predictions in a segment that was left that long ago."""
    records = some(3)
    for record in records:
        record.ts -= int(age_s * 1e6)
    write(log / f"{age_s}", records)
    for path in (log / f"{age_s}").iterdir():
        os.utime(path, ns=(records[-1].ts * 1000, records[-1].ts * 1000))


def test_only_segments_that_may_hold_one_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for age_s in (500, 10, 400, 9.5, 300):
        aged(tmp_path, age_s)
    read: list[str] = []
    end = tail._end

    def noted(path: Path, count: int) -> bytes:
        read.append(path.parent.name)
        return end(path, count)

    monkeypatch.setattr(tail, "_end", noted)
    found = last(tmp_path, 4)
    assert sorted(read) == ["10", "9.5"]
    monkeypatch.undo()
    assert found == last(tmp_path, 1000)[-4:] and len(last(tmp_path, 1000)) == 15
    assert last(tmp_path, 0) == []


def test_a_segment_that_goes_meanwhile_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aged(tmp_path, 5)
    here = tail.segments(tmp_path)
    monkeypatch.setattr(tail, "segments", lambda log: [*here, tmp_path / "gone.jsonl"])
    assert len(last(tmp_path, 9)) == 3
