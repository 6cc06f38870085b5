"""How often drift monitors cry wolf, and what they see: Salver's rule beside Evidently's and NannyML's defaults, in one run.

`python -m benchmarks.drift [--write] [--cell 300x200 …] [--tool salver …] [--seconds 60]`. Windows without any drift are drawn
from what the reference was drawn from; one alarm of any column is an alarm of the window. Rows are drawn one by one and
counted. Only where a window has more than ten million values are its counts drawn (`columns.py`), and beside them a hundred row
by row. Salver judges 1,000 windows a cell of the table, over ten references. The others are slower: each of their cells has as
many windows, up to 1,000, as fit in `--seconds` of the processor, one at least, and the table says how many. No threshold was
chosen by looking at windows of this seed.

Each cell is kept in a file of its own as soon as it is done, so that cells can be run one at a time, or several at once.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.columns import Draw, Table, drawn, drawn_window, values
from benchmarks.tables import fill
from salver.monitors.bins import Coded
from salver.monitors.comparison import reference_of
from salver.monitors.judge import judge
from salver.monitors.profile import Profile
from salver.monitors.window import Window, window_of

SIZES = (50, 100, 300, 1_000, 10_000, 100_000)
WIDTHS = (1, 20, 200)
REFERENCE = 10_000
WINDOWS = 1_000
REFERENCES = 10
SEED = 20261125
CHECKED = 100
_BY_ROWS = 1e7  # values of a window
_NANNYML_VALUES = 4e7
ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "measured.md"
KEPT = ROOT / ".bench" / "drift"


class Share(NamedTuple):
    """So many of so many windows had an alarm."""

    alarms: int
    windows: int

    def __str__(self) -> str:
        return "not run" if not self.windows else f"{self.alarms / self.windows:.1%} of {self.windows}"


def plain(table: Table) -> Table:
    """Categories as objects."""
    return {name: np.array(one.tolist(), object) if isinstance(one, Coded) else one for name, one in table.items()}


def frame(table: Table) -> Any:
    """The same for those who take pandas."""
    import pandas as pd

    return pd.DataFrame(plain(table))


def reference(table: Table) -> Profile:
    return reference_of(plain(table))


def window(profile: Profile, table: Table) -> Window:
    return window_of(profile, table, {})


@cache
def profiles(width: int, seed: int) -> list[Profile]:
    """The references, each with another kind of column first."""
    return [reference(drawn(REFERENCE, width, np.random.default_rng([seed, width, at]), at)) for at in range(REFERENCES)]


def salver(rows: int, width: int, seconds: float, seed: int) -> Share:
    """1,000 windows, however long it takes; of the largest the counts are drawn, not each row."""
    draws = [np.random.default_rng([seed, width, rows, at]) for at in range(REFERENCES)]
    return _judged(rows, width, profiles(width, seed), draws, WINDOWS, by_rows=rows * width <= _BY_ROWS)


def salver_by_rows(rows: int, width: int, seconds: float, seed: int) -> Share:
    """A hundred of the largest windows row by row, beside those whose counts were drawn."""
    if rows * width <= _BY_ROWS:
        return Share(0, 0)
    draws = [np.random.default_rng([seed + 1, width, rows, at]) for at in range(REFERENCES)]
    return _judged(rows, width, profiles(width, seed), draws, CHECKED, by_rows=True)


def _judged(rows: int, width: int, known: list[Profile], draws: list[Draw], windows: int, *, by_rows: bool) -> Share:
    alarms = 0
    for i in range(windows):
        at = i % REFERENCES
        given = (rows, width, draws[at], at)
        made = window(known[at], drawn(*given)) if by_rows else drawn_window(known[at], *given)
        alarms += bool(judge(known[at], made).bad)
    return Share(alarms, windows)


def _counted(windows: Iterator[list[bool]], seconds: float) -> Share:
    """Alarms of windows, as they come, until the time is over."""
    deadline, alarms, count = time.process_time() + seconds, 0, 0
    for some in windows:
        alarms, count = alarms + sum(some), count + len(some)
        if count >= WINDOWS or time.process_time() > deadline:
            break
    return Share(alarms, count)


def evidently(rows: int, width: int, seconds: float, seed: int) -> Share:
    """DataDriftPreset's count of drifted columns, without the preset's charts: an alarm where it is not 0."""
    from evidently import Report
    from evidently.metrics import DriftedColumnsCount

    def windows() -> Iterator[list[bool]]:
        draw = np.random.default_rng([seed, width, rows])
        before = frame(drawn(REFERENCE, width, draw))
        while True:
            found = Report([DriftedColumnsCount()]).run(frame(drawn(rows, width, draw)), before).dict()
            yield [found["metrics"][0]["value"]["count"] > 0]

    return _counted(windows(), seconds)


def nannyml(rows: int, width: int, seconds: float, seed: int) -> Share:
    """UnivariateDriftCalculator with its default methods; a reference of ten windows, as its default of ten chunks."""
    import nannyml as nml

    if 10 * rows * width > _NANNYML_VALUES:
        return Share(0, 0)  # a table of pandas that would need more memory than the rest of the run together
    draw = np.random.default_rng([seed, width, rows])
    before = frame(drawn(10 * rows, width, draw))
    categories = [name for name in before if before[name].dtype == object]
    calculator = nml.UnivariateDriftCalculator(column_names=list(before), chunk_size=rows, treat_as_categorical=categories)
    calculator.fit(before)
    many = max(1, min(50, int(2e6 / rows / width)))

    def windows() -> Iterator[list[bool]]:
        while True:
            found = calculator.calculate(frame(drawn(many * rows, width, draw))).filter(period="analysis").to_df()
            alerts = found[[column for column in found.columns if column[-1] == "alert"]].astype(bool)
            yield alerts.any(axis=1).tolist()

    return _counted(windows(), seconds)


TOOLS = {"salver": salver, "evidently": evidently, "nannyml": nannyml, "by rows": salver_by_rows}


def cell(rows: int, width: int, tools: list[str], seconds: float, seed: int) -> None:
    """Run a cell of the table and keep it."""
    path = _path(rows, width)
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {name: TOOLS[name](rows, width, seconds, seed) for name in tools}
    path.write_text(json.dumps(_kept(path) | found))
    print(_line(rows, width), flush=True)


def false_alarms() -> str:
    """The table of all cells that are kept."""
    lines = [
        "| rows in a window | columns | Salver | Evidently 0.7, defaults | NannyML 0.13, defaults |",
        "|--:|--:|--:|--:|--:|",
    ]
    lines += [_line(rows, width) for width in WIDTHS for rows in SIZES]
    return "\n".join(lines) + "\n"


def _line(rows: int, width: int) -> str:
    kept = _kept(_path(rows, width))
    ours, evidently, nannyml, checked = (Share(*kept.get(name, (0, 0))) for name in TOOLS)
    own = f"{ours}; row by row {checked}" if checked.windows else str(ours)
    return f"| {rows:,} | {width} | {own} | {evidently} | {nannyml} |"


def _kept(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def _path(rows: int, width: int) -> Path:
    return KEPT / f"{rows}x{width}.json"


def _shift(by: float) -> Callable[[Table, np.random.Generator], None]:
    return lambda rows, draw: rows.update({NUMBER: rows[NUMBER] + by})


def _scale(rows: Table, draw: np.random.Generator) -> None:
    rows[NUMBER] = rows[NUMBER] * math.sqrt(1.5)


def _odds(rows: Table, draw: np.random.Generator) -> None:
    rows[CATEGORY] = values([2, 1, 1, 1, 1], rows[CATEGORY].values).draw(draw, len(rows[CATEGORY]))


def _missing(rows: Table, draw: np.random.Generator) -> None:
    rows[NUMBER] = np.where(draw.random(len(rows[NUMBER])) < 0.05 / 0.95, np.nan, rows[NUMBER])


def _unseen(rows: Table, draw: np.random.Generator) -> None:
    of = rows[CATEGORY]
    rows[CATEGORY] = Coded(np.where(draw.random(len(of)) < 0.01, len(of.values), of.places), [*of.values, "z"])


NUMBER, CATEGORY = "normal, 5 % missing 0", "five categories 3"
CHANGES: dict[str, tuple[str, Callable[[Table, np.random.Generator], None]]] = {
    "mean + 0.25 sd": (NUMBER, _shift(0.25)),
    "odds of a category doubled": (CATEGORY, _odds),
    "5 % → 10 % missing": (NUMBER, _missing),
    "variance × 1.5": (NUMBER, _scale),
    "1 % of an unseen category": (CATEGORY, _unseen),
}


def power(seed: int, windows: int = 500) -> str:
    """In a window of 20 columns, one of which changes."""
    lines = ["| one of 20 columns changes | seen in 300 rows | in 1,000 rows | in 10,000 rows |", "|---|--:|--:|--:|"]
    draw = np.random.default_rng([seed, 0])
    profiles = [reference(drawn(REFERENCE, 20, draw)) for _ in range(REFERENCES)]

    def seen(rows: int, column: str, change: Callable[[Table, np.random.Generator], None]) -> Share:
        hits, count = 0, windows if rows <= 1000 else windows // 5
        for at in range(count):
            table, profile = drawn(rows, 20, draw), profiles[at % REFERENCES]
            change(table, draw)
            hits += column in {finding.column for finding in judge(profile, window(profile, table)).bad}
        return Share(hits, count)

    for name, (column, change) in CHANGES.items():
        lines.append(f"| {name} | {' | '.join(str(seen(rows, column, change)) for rows in (300, 1_000, 10_000))} |")
        print(lines[-1], flush=True)
    trivial = 0
    for _ in range(windows // 5):
        large = reference({"x": draw.normal(size=100_000)})
        trivial += bool(judge(large, window(large, {"x": draw.normal(0.02, 1, 100_000)})).bad)
    lines.append(f"| mean + 0.02 sd, 100,000 rows: not to be seen | | | {Share(trivial, windows // 5)} |")
    return "\n".join(lines) + "\n"


def _size(text: str) -> tuple[int, int]:
    rows, width = text.split("x")
    return int(rows), int(width)


def main() -> None:
    every = [(rows, width) for width in WIDTHS for rows in SIZES]
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--write", action="store_true", help="fill the tables in docs/measured.md from the cells that are kept")
    given.add_argument("--seconds", type=float, default=60.0, help="for each cell of the others")
    given.add_argument("--cell", type=_size, nargs="*", default=every, help="as 300x200, rows and columns; by default all")
    given.add_argument("--tool", nargs="*", choices=list(TOOLS), default=list(TOOLS), help="by default all")
    given.add_argument("--power", action=argparse.BooleanOptionalAction, default=True, help="what is seen")
    given.add_argument("--seed", type=int, default=SEED)
    options = given.parse_args()
    warnings.simplefilter("ignore")
    os.environ |= {"NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1"}  # they call home
    for rows, width in options.cell:
        cell(rows, width, options.tool, options.seconds, options.seed)
    seen = power(options.seed) if options.power else ""
    print(seen + "\n" + false_alarms())
    if options.write and seen:
        fill(PAGE, "power", seen)
    if options.write:
        fill(PAGE, "wolf", false_alarms())


if __name__ == "__main__":
    main()
