"""One curve as an SVG that reads in light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 960, 300, 60, 40, 40


def chart(title: str, points: Sequence[tuple[float, float]], marks: Sequence[float], across: str, up: str) -> str:
    """The curve through `points`, with a thin line at each of `marks`."""
    most_x = max(x for x, _ in points)
    most_y = max(y for _, y in points) * 1.1
    wide, high = _WIDTH - _LEFT - 20, _HEIGHT - _TOP - _BOTTOM

    middle = _TOP + high / 2

    def at(x: float, y: float) -> str:
        return f"{_LEFT + x / most_x * wide:.1f},{_TOP + high - y / most_y * high:.1f}"

    lines = "".join(f'<path d="M{at(x, 0)}L{at(x, most_y)}" class="mark"/>' for x in marks)
    ticks = "".join(
        f'<text x="{_LEFT - 8}" y="{_TOP + high - share * high + 4:.0f}" text-anchor="end">{most_y * share:.2g}</text>'
        f'<path d="M{at(0, most_y * share)}L{at(most_x, most_y * share)}" class="grid"/>'
        for share in (0, 0.25, 0.5, 0.75, 1)
    )
    feet = "".join(
        f'<text x="{_LEFT + share * wide:.0f}" y="{_TOP + high + 16}" text-anchor="middle">{most_x * share:.0f}</text>'
        for share in (0, 0.25, 0.5, 0.75, 1)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">\n'
        "<style>text{font:11px sans-serif;fill:#888}.grid{stroke:#8884}.mark{stroke:#e8a33d66}"
        ".curve{fill:none;stroke:#3b82c4;stroke-width:1.3}.title{font-size:13px}</style>\n"
        f'<text x="{_LEFT}" y="20" class="title">{escape(title)}</text>\n{lines}\n{ticks}\n{feet}\n'
        f'<text x="{_LEFT + wide / 2:.0f}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(across)}</text>\n'
        f'<text x="14" y="{middle:.0f}" transform="rotate(-90 14 {middle:.0f})" text-anchor="middle">'
        f'{escape(up)}</text>\n<path d="M{"L".join(at(x, y) for x, y in points)}" class="curve"/>\n</svg>\n'
    )
