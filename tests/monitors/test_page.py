"""The report: one file that fetches nothing, runs nothing and says nothing unescaped; the picture of it in the docs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from xml.dom import minidom

from salver.monitors.page import page
from salver.monitors.results import Watched
from tests.monitors.test_watch import START_US, looked, write
from tests.serving import SALVER

DOCS = Path(__file__).resolve().parents[2] / "docs"


def watched(log: Path) -> list[Watched]:
    """Twelve good hours, eight with drift, four in which labels say otherwise."""
    write(log, range(12))
    write(log, range(12, 20), shift=0.5)
    write(log, range(20, 24), shift=0.5, wrong=True)
    return looked(log, until=24)


def picture(html: str) -> str:
    """A page as an SVG, which is shown as an image."""
    style, body = (re.search(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)[1] for tag in ("style", "body"))  # type: ignore[index]
    style = style.replace("body{", ".page{")
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="800" height="1720"><foreignObject width="100%" height="100%">'
        f'<div xmlns="http://www.w3.org/1999/xhtml" class="page"><style>{style}</style>{body}</div></foreignObject></svg>\n'
    )


def test_the_report_and_its_picture(tmp_path: Path) -> None:
    found = watched(tmp_path / "log")
    html = page("m", found)
    for told in ("something is wrong", "concept", "by labels", "salver log query", "Train again", "moved"):
        assert told in html, told
    assert not re.search(r"<script|<img|<link|@import|url[(]|(?:src|href)=", html), "nothing is fetched, nothing runs"
    assert "default-src 'none'" in html
    made = picture(html)
    minidom.parseString(made)  # well-formed
    (DOCS / "report.svg").write_text(made)
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
