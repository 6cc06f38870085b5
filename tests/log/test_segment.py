"""The writing end of the log: whole lines or an error, and a new segment when one is full."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from salver.errors import LogUnavailable
from salver.log.reader import read_records, segments
from salver.log.record import Record, encoder
from salver.log.segment import SegmentWriter

_FULL = """
import json, resource, sys
from pathlib import Path
from salver.errors import LogUnavailable
from salver.log.segment import SegmentWriter
from tests.log.test_segment import line

writer, accepted = SegmentWriter(Path(sys.argv[1])), []
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))  # to this process the disk is full
for i in range(20):
    if i == 15:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    try:
        writer.append(line(f"{i}-a") + line(f"{i}-b"))
    except LogUnavailable:
        continue
    accepted += [f"{i}-a", f"{i}-b"]
writer.close()
print(json.dumps({"accepted": accepted, "failures": writer.failures, "bytes": writer.bytes_written}))
"""


def line(name: str) -> bytes:
    return encoder.encode(Record(name, 1, "m", 1, "live", "test", 1, {"x": 1.0}, {"prediction": "naïve"})) + b"\n"


def names(folder: Path) -> list[str]:
    return [record.id for record in read_records(folder)]


def test_lines_are_in_the_file_when_append_returns(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "log")
    assert not (tmp_path / "log").exists()
    writer.append(line("a") + line("b"))
    assert names(tmp_path) == ["a", "b"]
    writer.append(line("c"))
    assert names(tmp_path) == ["a", "b", "c"]
    assert writer.bytes_written == sum(segment.stat().st_size for segment in segments(tmp_path))
    writer.close()


def test_a_full_segment_is_followed_by_another_in_order(tmp_path: Path) -> None:
    size = len(line("00"))
    writer = SegmentWriter(tmp_path, segment_bytes=3 * size)
    for i in range(60):
        writer.append(line(f"{i:02}"))
    writer.close()
    assert [segment.stat().st_size // size for segment in segments(tmp_path)] == [3] * 20
    assert names(tmp_path) == [f"{i:02}" for i in range(60)]


def test_it_goes_on_after_close(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path)
    for name in "ab":
        writer.append(line(name))
        writer.close()
        writer.close()
    assert names(tmp_path) == ["a", "b"]


def test_nobody_else_may_read_the_log(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path)
    writer.append(line("a"))
    writer.close()
    (segment,) = segments(tmp_path)
    assert segment.stat().st_mode & 0o007 == 0


def test_a_folder_that_can_not_be_made_is_an_error_each_time(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file in its place")
    writer = SegmentWriter(tmp_path / "log")
    for _ in range(2):
        with pytest.raises(LogUnavailable):
            writer.append(line("a"))
    (tmp_path / "log").unlink()
    writer.append(line("b"))
    writer.close()
    assert names(tmp_path) == ["b"]
    assert writer.failures == 2


def test_a_full_disk_refuses_and_costs_nothing_once_there_is_space(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FULL, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    )
    said = json.loads(done.stdout)
    whole = names(tmp_path)
    assert 0 < said["failures"] < 15
    assert said["accepted"][-2:] == ["19-a", "19-b"]
    assert set(said["accepted"]) <= set(whole)
    assert len(whole) == len(set(whole))
