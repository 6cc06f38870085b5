"""How often drift monitors cry wolf, and what they see: Salver's rule beside Evidently's and NannyML's defaults, in one run.

`python -m benchmarks.drift [--write] [--seconds 12]`. Windows without any drift are drawn from what the reference was drawn
from; one alarm of any column is an alarm of the window. Salver judges 1,000 windows a cell of the table, over ten references.
The others are slower, so that each of their cells has as many windows as fit in `--seconds`, and the table says how many.
"""

from __future__ import annotations

import argparse
import math
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.tables import fill
from salver.monitors.comparison import reference_of, window_of_rows
from salver.monitors.judge import judge
from salver.monitors.profile import Profile
from salver.monitors.window import Window

SIZES = (50, 100, 300, 1_000, 10_000, 100_000)
WIDTHS = (1, 20, 200)
REFERENCE = 10_000
WINDOWS = 1_000
REFERENCES = 10
MISSING = 0.05
CATEGORIES = np.array(list("abcde"), dtype=object)
PAGE = Path(__file__).resolve().parents[1] / "docs" / "measured.md"

Table = dict[str, Any]


class Share(NamedTuple):
    """So many of so many windows had an alarm."""

    alarms: int
    windows: int

    def __str__(self) -> str:
        return "not run" if not self.windows else f"{self.alarms / self.windows:.1%} of {self.windows}"


def drawn(rows: int, width: int, draw: np.random.Generator) -> Table:
    """Three of four columns are normal numbers, 5 % of them missing; the fourth is a category of five."""
    made: Table = {}
    for i in range(width):
        if i % 4 == 3:
            made[f"k{i}"] = CATEGORIES[draw.integers(0, 5, rows)]
        else:
            numbers = draw.normal(size=rows)
            numbers[draw.random(rows) < MISSING] = np.nan
            made[f"x{i}"] = numbers
    return made


def drawn_window(profile: Profile, rows: int, draw: np.random.Generator) -> Window:
    """The counts of such rows, drawn as what they are: multinomial over the cells. As good as counting rows, and quick."""
    made = Window()
    made.rows = made.weight = made.squares = rows
    for name, column in profile.columns.items():
        edges = getattr(column.bins, "edges", None)
        if edges is None:
            shares = np.array([0.0, *[0.2] * 5, 0.0])
        else:
            below = [0.5 * math.erfc(-edge / math.sqrt(2)) for edge in edges]
            shares = np.array([MISSING, 0.0, *(np.diff([0.0, *below, 1.0]) * (1 - MISSING))])
        made.counts[f"in:{name}"] = draw.multinomial(rows, shares / shares.sum()).astype(np.int64)
    return made


def ours(rows: int, width: int) -> Share:
    alarms = 0
    for seed in range(REFERENCES):
        draw = np.random.default_rng(seed)
        profile = reference_of(drawn(REFERENCE, width, draw))
        alarms += sum(bool(judge(profile, drawn_window(profile, rows, draw)).bad) for _ in range(WINDOWS // REFERENCES))
    return Share(alarms, WINDOWS)


def evidently(rows: int, width: int, seconds: float) -> Share:
    """Report([DataDriftPreset()]): an alarm where any column is said to have drifted."""
    import pandas as pd
    from evidently import Report
    from evidently.presets import DataDriftPreset

    draw, deadline, alarms, windows = np.random.default_rng(0), time.monotonic() + seconds, 0, 0
    reference = pd.DataFrame(drawn(REFERENCE, width, draw))
    while windows < WINDOWS and time.monotonic() < deadline:
        found = Report([DataDriftPreset()]).run(pd.DataFrame(drawn(rows, width, draw)), reference).dict()
        drifted = next(one["value"]["count"] for one in found["metrics"] if "DriftedColumnsCount" in str(one))
        alarms, windows = alarms + (drifted > 0), windows + 1
    return Share(alarms, windows)


def nannyml(rows: int, width: int, seconds: float) -> Share:
    """UnivariateDriftCalculator with its default methods; a reference of ten windows, as its default of ten chunks."""
    import nannyml as nml
    import pandas as pd

    if 10 * rows * width > 4e6:
        return Share(0, 0)
    draw, deadline, alarms, windows = np.random.default_rng(0), time.monotonic() + seconds, 0, 0
    reference = pd.DataFrame(drawn(10 * rows, width, draw))
    names = list(reference)
    calculator = nml.UnivariateDriftCalculator(
        column_names=names, chunk_size=rows, treat_as_categorical=[name for name in names if name[0] == "k"]
    )
    calculator.fit(reference)
    many = max(1, min(50, int(2e6 / rows / width)))
    while windows < WINDOWS and time.monotonic() < deadline:
        found = calculator.calculate(pd.DataFrame(drawn(many * rows, width, draw))).filter(period="analysis").to_df()
        alerts = found[[column for column in found.columns if column[-1] == "alert"]].astype(bool)
        alarms, windows = alarms + int(alerts.any(axis=1).sum()), windows + len(found)
    return Share(alarms, windows)


def false_alarms(seconds: float) -> str:
    lines = [
        "| rows in a window | columns | Salver | Evidently 0.7, defaults | NannyML 0.13, defaults |",
        "|--:|--:|--:|--:|--:|",
    ]
    for width in WIDTHS:
        for rows in SIZES:
            found = [ours(rows, width), evidently(rows, width, seconds), nannyml(rows, width, seconds)]
            lines.append(f"| {rows:,} | {width} | {' | '.join(map(str, found))} |")
            print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def _shift(by: float) -> Callable[[Table, np.random.Generator], None]:
    return lambda rows, draw: rows.update(x0=rows["x0"] + by)


def _scale(rows: Table, draw: np.random.Generator) -> None:
    rows["x0"] = rows["x0"] * math.sqrt(1.5)


def _odds(rows: Table, draw: np.random.Generator) -> None:
    rows["k3"] = draw.choice(CATEGORIES, len(rows["k3"]), p=[1 / 3, *[1 / 6] * 4])


def _missing(rows: Table, draw: np.random.Generator) -> None:
    rows["x0"] = np.where(draw.random(len(rows["x0"])) < 0.05 / 0.95, np.nan, rows["x0"])


def _unseen(rows: Table, draw: np.random.Generator) -> None:
    rows["k3"] = np.where(draw.random(len(rows["k3"])) < 0.01, "z", rows["k3"]).astype(object)


CHANGES: dict[str, tuple[str, Callable[[Table, np.random.Generator], None]]] = {
    "mean + 0.25 sd": ("x0", _shift(0.25)),
    "odds of a category doubled": ("k3", _odds),
    "5 % → 10 % missing": ("x0", _missing),
    "variance × 1.5": ("x0", _scale),
    "1 % of an unseen category": ("k3", _unseen),
}


def power(windows: int = 500) -> str:
    """In a window of 20 columns, one of which changes."""
    lines = ["| one of 20 columns changes | seen in 300 rows | in 1,000 rows | in 10,000 rows |", "|---|--:|--:|--:|"]
    draw = np.random.default_rng(1)
    profile = reference_of(drawn(REFERENCE, 20, draw))

    def seen(rows: int, column: str, change: Callable[[Table, np.random.Generator], None]) -> Share:
        hits = 0
        for _ in range(windows if rows <= 1000 else windows // 5):
            table = drawn(rows, 20, draw)
            change(table, draw)
            hits += column in {finding.column for finding in judge(profile, window_of_rows(profile, table)).bad}
        return Share(hits, windows if rows <= 1000 else windows // 5)

    for name, (column, change) in CHANGES.items():
        lines.append(f"| {name} | {' | '.join(str(seen(rows, column, change)) for rows in (300, 1_000, 10_000))} |")
        print(lines[-1], flush=True)
    large = reference_of({"x0": draw.normal(size=100_000)})
    trivial = sum(
        bool(judge(large, window_of_rows(large, {"x0": draw.normal(0.02, 1, 100_000)})).bad) for _ in range(windows // 5)
    )
    lines.append(f"| mean + 0.02 sd, 100,000 rows: not to be seen | | | {Share(trivial, windows // 5)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--write", action="store_true", help="fill the tables in docs/measured.md")
    given.add_argument("--seconds", type=float, default=12.0, help="for each cell of the others")
    options = given.parse_args()
    warnings.simplefilter("ignore")
    os.environ |= {"NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1"}  # they call home
    seen, wolf = power(), false_alarms(options.seconds)
    print(seen + "\n" + wolf)
    if options.write:
        fill(PAGE, "power", seen)
        fill(PAGE, "wolf", wolf)


if __name__ == "__main__":
    main()
