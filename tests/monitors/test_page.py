"""The report: one file that fetches nothing, runs nothing and says nothing unescaped."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from salver.monitors.page import page
from salver.monitors.results import Watched
from tests.monitors.test_watch import looked, write
from tests.serving import SALVER


def watched(log: Path) -> list[Watched]:
    """Twelve good hours, eight with drift, four in which labels say otherwise."""
    write(log, range(12))
    write(log, range(12, 20), shift=0.5)
    write(log, range(20, 24), shift=0.5, wrong=True)
    return looked(log, until=24)


def test_the_report_is_one_file(tmp_path: Path) -> None:
    found = watched(tmp_path / "log")
    html = page("m", found)
    for told in ("something is wrong", "answers are wrong more often", "by labels", "salver log query", "Train again", "moved"):
        assert told in html, told
    assert not re.search(r"<script|<img|<link|@import|url[(]|(?:src|href)=", html), "nothing is fetched, nothing runs"
    assert "default-src 'none'" in html
    done = subprocess.run([SALVER, "report", "m", "--store", str(tmp_path)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "m-report.html").read_text() == html
    assert "2023-11" in done.stdout and "ACCURACY BY LABELS" in done.stdout
    unknown = subprocess.run([SALVER, "report", "n", "--store", str(tmp_path)], cwd=tmp_path, capture_output=True, text=True)
    assert unknown.returncode == 1 and "salver monitor --once" in unknown.stderr


def test_what_data_says_is_text(tmp_path: Path) -> None:
    found = watched(tmp_path / "log")
    evil = "<script>alert(1)</script>\"'"
    for one in found:
        one.model = one.segment = evil
        for alarm in one.alarms:
            alarm.what = alarm.query = evil
        for window in one.windows:
            for finding in window.findings:
                finding.column = evil
    assert "<script" not in page(evil, found)
