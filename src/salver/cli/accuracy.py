"""`salver accuracy`: how accurate a model is, by the labels that came."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salver.cli.log import log_folder
from salver.cli.options import add_json, add_log, add_store, registry_of
from salver.cli.table import print_json, print_table
from salver.errors import SalverError
from salver.types.reference import Reference

if TYPE_CHECKING:
    from salver.cli.options import Commands
    from salver.monitors.accuracy import Accuracy, Group
    from salver.monitors.estimate import Estimate

_COLUMNS = {
    "classification": ("exact_match", "accuracy", "balanced_accuracy", "f1_macro", "roc_auc", "log_loss", "brier"),
    "regression": ("mae", "rmse", "mape", "r2", "bias"),
}
_WIDTH = 20


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "accuracy", help="how accurate a model is by its labels", description="Show how accurate a model is by its labels."
    )
    command.add_argument("model", metavar="REF", help="iris, or one version of it: iris@3")
    command.add_argument(
        "--by",
        action="append",
        default=[],
        metavar="COLUMN",
        help="version, route, hour, day or an input; several times for several",
    )
    command.add_argument("--since", metavar="WHEN", help="7d, 12h, 30m, or a date in UTC")
    command.add_argument("--until", metavar="WHEN", help="the same; up to then")
    add_store(command)
    add_log(command)
    add_json(command)
    command.set_defaults(run=_accuracy)


def _accuracy(given: argparse.Namespace) -> int:
    from salver.monitors.accuracy import Question, accuracy, since

    reference, now_us = Reference.parse(given.model), time.time_ns() // 1000
    question = Question(
        by=given.by,
        since_us=since(given.since, now_us) if given.since else None,
        until_us=since(given.until, now_us) if given.until else None,
        version=reference.version,
    )
    found = accuracy(Path(log_folder(given)), reference.name, question)
    saved = _at_save(given, reference)
    if given.json:
        import msgspec

        print_json(_rounded({**msgspec.to_builtins(found), "at_save": saved}))
    else:
        _print(found, saved)
    return 0


def _rounded(told: Any) -> Any:
    """Numbers to ten digits: what comes after depends on the order in which rows are added up."""
    if isinstance(told, dict):
        return {name: _rounded(value) for name, value in told.items()}
    if isinstance(told, list):
        return list(map(_rounded, told))
    return float(f"{told:.10g}") if isinstance(told, float) else told


def _at_save(given: argparse.Namespace, reference: Reference) -> dict[str, float]:
    """The metrics that were measured when the version was saved, where it is in the registry."""
    try:
        registry = registry_of(given)
        return dict(registry.manifest(*registry.resolve(reference)).metrics)
    except SalverError:
        return {}


def _print(found: Accuracy, saved: dict[str, float]) -> None:
    names = [name for name in _COLUMNS[found.task] if any(name in group.metrics for group in found.groups)]
    headings = [*(by.upper() for by in found.by), "PREDICTIONS", "LABELLED", *(name.upper() for name in names), ""]
    leading = names[0] if names else ""
    rows = [
        [*_leads(group), *(_told(group.metrics.get(name)) for name in names), _bar(group, leading)] for group in found.groups
    ]
    if saved and names and not found.by:
        rows.append(["", "at save", *(f"{saved[name]:.4f}" if name in saved else "" for name in names), ""])
    print_table(headings, rows, empty="no predictions in that time")
    delays = [group.delay_s for group in found.groups if group.delay_s]
    if delays and not found.by:
        print(
            f"\nlabels came {_span(delays[0]['p50'])} after their predictions (median), 95 % within {_span(delays[0]['p95'])}"
        )
    if len(found.groups) == 1 and found.groups[0].outputs:
        print()
        each = found.groups[0].outputs
        told = [[name, str(of.labelled), *(_told(of.metrics.get(metric)) for metric in names)] for name, of in each.items()]
        print_table(["OUTPUT", "LABELLED", *(name.upper() for name in names)], told)
    if len(found.groups) == 1 and found.groups[0].classes:
        print()
        classes = found.groups[0].classes
        print_table(
            ["CLASS", "PRECISION", "RECALL", "F1"],
            [[name, *(_told(of[metric]) for metric in ("precision", "recall", "f1"))] for name, of in classes.items()],
        )


def _leads(group: Group) -> list[str]:
    return [*(str(value) for value in group.of.values()), str(group.predictions), f"{group.coverage:.1%}"]


def _told(estimate: Estimate | None) -> str:
    return "" if estimate is None else f"{estimate.value:.4f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _bar(group: Group, name: str) -> str:
    """A share as a bar, so that a fall over days is seen at a glance."""
    if name not in ("accuracy", "exact_match") or name not in group.metrics:
        return ""
    filled = round(group.metrics[name].value * _WIDTH)
    return "█" * filled + "·" * (_WIDTH - filled)


def _span(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
