"""Draws the picture of a report in the docs: `python -m tests.monitors.picture`."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from salver.monitors.page import page
from salver.monitors.results import Watched
from tests.monitors.test_watch import looked, write

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "report.svg"


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
        '<svg xmlns="http://www.w3.org/2000/svg" width="800" height="1900"><foreignObject width="100%" height="100%">'
        f'<div xmlns="http://www.w3.org/1999/xhtml" class="page"><style>{style}</style>{body}</div></foreignObject></svg>\n'
    )


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        PICTURE.write_text(picture(page("m", watched(Path(folder) / "log"))))
