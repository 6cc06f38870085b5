"""`salver report`: how a model does, in the terminal and as one HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from salver.cli.log import log_folder
from salver.cli.monitor import show
from salver.cli.options import add_json, add_log, add_store
from salver.cli.table import print_json, print_table
from salver.errors import NotFound
from salver.types.reference import Reference

if TYPE_CHECKING:
    from salver.cli.options import Commands
    from salver.monitors.estimate import Estimate
    from salver.monitors.results import Seen, Watched

_WINDOWS = 12


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "report",
        help="how a model does: accuracy, drift, data, alarms",
        description="Show what the monitor found last, and write it as one HTML file.",
    )
    command.add_argument("model", metavar="REF", help="iris, or one version of it: iris@3")
    command.add_argument("--output", type=Path, metavar="FILE", help="the HTML file (default: MODEL-report.html)")
    add_store(command)
    add_log(command)
    add_json(command)
    command.set_defaults(run=_report)


def _report(given: argparse.Namespace) -> int:
    from salver.monitors.page import page
    from salver.monitors.results import read_results

    reference = Reference.parse(given.model)
    found = [
        one
        for one in read_results(log_folder(given))
        if one.model == reference.name and reference.version in (None, one.version)
    ]
    if not found:
        raise NotFound(
            f"the monitor has not looked at '{reference}' yet: salver monitor --once, or wait for the one of the server",
            code="unknown_model",
        )
    if given.json:
        print_json(found)
        return 0
    path = given.output or Path(f"{reference.name}-report.html")
    path.write_text(page(reference.name, found))
    show(found)
    for one in found:
        _windows(one)
    print(f"\n{path}")
    return 0


def _windows(one: Watched) -> None:
    if not one.windows:
        return
    print(f"\n{one.model}@{one.version} {one.route} {one.segment}".rstrip())
    measure = one.measure.upper()
    rows = [_row(window, one.measure) for window in one.windows[-_WINDOWS:]]
    print_table(["FROM (UTC)", "ROWS", f"{measure} BY LABELS", f"{measure} ESTIMATED", "WHAT MOVED"], rows)


def _row(window: Seen, measure: str) -> list[object]:
    from salver.monitors.channels import moment

    bad = sorted((one for one in window.findings if one.level != "ok"), key=lambda one: -one.rank)
    moved = ", ".join(dict.fromkeys(one.column for one in bad))
    return [
        moment(window.start_us).removesuffix(" UTC"),
        window.rows,
        _told(window.realised),
        _told(window.estimated.get(measure)),
        moved or "nothing",
    ]


def _told(estimate: Estimate | None) -> str:
    return "" if estimate is None else f"{estimate.value:.4g} [{estimate.low:.4g}, {estimate.high:.4g}]"
