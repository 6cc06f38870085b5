"""The report: one file that fetches nothing, runs nothing and says nothing unescaped; the picture of it in the docs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from xml.dom import minidom

from salver.monitors.page import page
from tests.monitors.picture import PICTURE, picture, watched
from tests.monitors.test_watch import START_US
from tests.serving import SALVER


def test_the_report_and_its_picture(tmp_path: Path) -> None:
    found = watched(tmp_path / "log")
    html = page("m", found)
    for told in ("something is wrong", "answers are wrong more often", "by labels", "salver log query", "Train again", "moved"):
        assert told in html, told
    assert not re.search(r"<script|<img|<link|@import|url[(]|(?:src|href)=", html), "nothing is fetched, nothing runs"
    assert "default-src 'none'" in html
    made = picture(html)
    minidom.parseString(made)  # well-formed
    assert PICTURE.read_text() == made, "draw it anew: python -m tests.monitors.picture"
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
    assert START_US
