"""The audit log: bounded whatever is refused, whole whoever writes."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from salver.door.audit import Audit, Entry, Refusals

REFUSED = Entry(event="refused", what="POST /predict")


def test_refusals_beyond_a_rate_are_counted_together() -> None:
    refusals = Refusals(3)
    written = [entry for i in range(10) for entry in refusals.note(REFUSED, 5.0 + i / 100)]
    assert written == [REFUSED] * 3
    (more, one) = refusals.note(REFUSED, 6.0)
    assert (more.event, more.count, one) == ("refused", 7, REFUSED)
    assert refusals.ended(6.5) == [] == refusals.ended(7.0)


def test_it_is_turned_and_the_oldest_go(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit", file_bytes=1000, files=3)
    for number in range(200):
        audit.write(Entry(event="called", what="POST /models/{ref}/labels", why=str(number)))
    files = sorted(file.name for file in audit.folder.glob("*.jsonl"))
    assert (len(files) <= 3 and "audit.jsonl" in files) or len(files) == 3
    assert sum(file.stat().st_size for file in audit.folder.iterdir()) < 4000
    numbers = [int(json.loads(line)["why"]) for name in files for line in (audit.folder / name).read_text().splitlines()]
    assert numbers[-1] == 199 or max(numbers) == 199


def test_it_is_nobody_elses_to_read(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit")
    audit.write(REFUSED)
    assert (audit.folder / "audit.jsonl").stat().st_mode & 0o777 == 0o600


def test_many_write_and_no_line_is_lost_or_torn(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(tmp_path, writer)) for writer in range(3)]
    for process in writers:
        process.start()
    for process in writers:
        process.join(60)
    lines = [json.loads(line) for file in tmp_path.glob("*.jsonl") for line in file.read_text().splitlines()]
    assert sorted((line["who"], int(line["why"])) for line in lines) == [(f"{w}", i) for w in range(3) for i in range(300)]


def _write(folder: Path, writer: int) -> None:
    audit = Audit(folder, file_bytes=5000, files=10**6)
    for number in range(300):
        audit.write(Entry(event="called", who=str(writer), why=str(number)))


def test_where_it_can_not_be_written_nobody_is_refused_for_that(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "audit").write_text("a file where the folder should be")
    audit = Audit(tmp_path / "audit")
    for _ in range(3):
        audit.write(REFUSED)
    assert caplog.text.count("can't be written") == 1
