"""A disk that is full, read-only or stalls: predictions stop or go on as the settings say, and every line is accounted for."""

from __future__ import annotations

import os
import resource
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from salver.errors import LogUnavailable
from salver.log.reader import read_records
from salver.log.segment import SegmentWriter
from salver.log.settings import Settings
from salver.log.writer import DroppingWriter, open_writer
from tests.log.rows import encoder, some

_FULL = """
import json, resource, sys, time
from pathlib import Path
from salver.log.settings import Settings
from salver.log.writer import open_writer
from tests.log.rows import encoder, some

writer = open_writer(Path(sys.argv[1]), Settings(when_full="drop"))
unlimited = resource.RLIM_INFINITY
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, unlimited))  # to this process the disk is full
for i in range(400):
    writer.append(encoder.encode_lines(some(3)))
    if i == 300:
        time.sleep(1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
        time.sleep(1)
    time.sleep(0.001)
writer.close()
print(json.dumps([writer.lines_dropped, writer.healthy, writer.queued_bytes]))
"""


def test_the_settings_choose_the_writer(tmp_path: Path) -> None:
    assert isinstance(open_writer(tmp_path, Settings()), SegmentWriter)
    writer = open_writer(tmp_path, Settings(when_full="drop"))
    assert isinstance(writer, DroppingWriter)
    writer.close()


def test_on_a_full_disk_what_is_dropped_is_counted_to_the_line(tmp_path: Path) -> None:
    import json

    done = subprocess.run([sys.executable, "-c", _FULL, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    dropped, healthy, queued_bytes = json.loads(done.stdout)
    assert 0 < dropped < 1200
    assert len(list(read_records(tmp_path))) == 1200 - dropped
    assert healthy and not queued_bytes
    assert "are not logged" in done.stderr


def test_a_disk_that_stalls_costs_bounded_memory_and_no_time(tmp_path: Path) -> None:
    """The segment is a pipe that nobody reads: a write to it does not return, as on a disk that hangs."""
    inner = SegmentWriter(tmp_path)
    inner.append(encoder.encode_lines(some(1)))
    reading, writing = os.pipe()
    os.dup2(writing, inner._file)
    os.close(writing)
    writer = DroppingWriter(inner, room_bytes=100_000)
    lines = encoder.encode_lines(some(10))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    for _ in range(1000):  # twenty times the room
        writer.append(lines)
    assert time.perf_counter() - started < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4096
    assert writer.queued_bytes <= 100_000 and not writer.healthy
    taken = 10_000 - writer.lines_dropped
    assert 0 < taken <= 10_000
    seen = _read(reading, taken)  # the disk comes back
    assert seen == taken
    _until_written(writer)  # the last line is read before its writer knows that it wrote it
    writer.append(lines)
    assert _read(reading, 10) == 10
    _until_written(writer)
    assert writer.healthy
    writer.close()
    os.close(reading)


def _read(reading: int, lines: int) -> int:
    seen = 0
    while seen < lines:
        ready, _, _ = select.select([reading], [], [], 10)
        assert ready, f"{seen} of {lines} lines came"
        seen += os.read(reading, 65_536).count(b"\n")
    return seen


def _until_written(writer: DroppingWriter) -> None:
    deadline = time.monotonic() + 5
    while writer.queued_bytes:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_folder_that_can_not_be_made_refuses_and_recovers(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("in the way")
    writer = SegmentWriter(tmp_path / "log")
    with pytest.raises(LogUnavailable):
        writer.append(encoder.encode_lines(some(1)))
    assert (writer.failures, writer.healthy) == (1, False)
    (tmp_path / "log").unlink()
    writer.append(encoder.encode_lines(some(1)))
    assert writer.healthy
    writer.close()


def test_old_segments_are_followed_by_new_ones(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, segment_s=0.0)
    for _ in range(3):
        writer.append(encoder.encode_lines(some(1)))
    writer.close()
    assert len(list(tmp_path.glob("*.jsonl"))) == 3


def test_synced_lines_are_the_same_lines(tmp_path: Path) -> None:
    writer = open_writer(tmp_path, Settings(sync="always"))
    writer.append(encoder.encode_lines(some(5)))
    writer.close()
    assert len(list(read_records(tmp_path))) == 5
