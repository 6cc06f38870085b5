"""`salver replay`: what another version would have answered to what was asked."""

from __future__ import annotations

import argparse
import math
import time
from typing import TYPE_CHECKING, Any

import msgspec

from salver.cli.log import log_folder
from salver.cli.options import add_json, add_log, add_store, add_trust, policy_of, registry_of
from salver.cli.table import print_facts, print_json, print_table
from salver.errors import ConfigError, InputError
from salver.types.reference import Reference

if TYPE_CHECKING:
    from salver.cli.options import Commands
    from salver.engine.model import Model
    from salver.monitors.replay import Replay

_ROWS = 100_000
_BATCH = 4096
_INFINITE = {"Infinity": math.inf, "-Infinity": -math.inf}


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "replay",
        help="ask a version what others were asked",
        description="Run logged inputs through a version and compare its answers with those that were given.",
    )
    command.add_argument("model", metavar="REF", help="the version that is asked: iris@4, iris@challenger")
    command.add_argument("--since", metavar="WHEN", default="7d", help="7d, 12h, or a date in UTC (default %(default)s)")
    command.add_argument("--against", type=int, metavar="VERSION", help="compare with this version's answers only")
    command.add_argument("--rows", type=int, default=_ROWS, help="the latest so many (default %(default)s)")
    command.add_argument(
        "--fail-if-worse", action="store_true", help="exit with 1 when it is significantly worse by the labels"
    )
    command.add_argument("--fail-if-changed", type=float, metavar="SHARE", help="exit with 1 when more answers change")
    add_store(command)
    add_log(command)
    add_trust(command)
    add_json(command)
    command.set_defaults(run=_replay)


def _replay(given: argparse.Namespace) -> int:
    from salver.artifact.artifact import open_artifact
    from salver.engine.model import Model

    registry = registry_of(given)
    name, version = registry.resolve(Reference.parse(given.model))
    artifact = open_artifact(registry.fetch(name, version))
    asked = _asked(given, name, artifact.manifest.signature.prediction.name)
    if not asked:
        raise ConfigError(f"the log has no predictions of '{name}' in that time that could be asked again")
    policy_of(given).admit(artifact, by_hand=False)
    model = Model(artifact, version)
    try:
        found = _run(model, asked)
    finally:
        model.close()
    if given.json:
        print_json({"model": name, "version": version, **msgspec.to_builtins(found)})
    else:
        _print(f"{name}@{version}", found)
    worse = given.fail_if_worse and found.verdict is not None and found.verdict.better == "before"
    changed = given.fail_if_changed is not None and found.changed.value > given.fail_if_changed
    return 1 if worse or changed else 0


def _asked(given: argparse.Namespace, name: str, output: str) -> list[tuple[Any, ...]]:
    """Inputs and answer (JSON), and label, of the latest rows."""
    from salver.log.duck import quoted
    from salver.log.joined import joined
    from salver.log.news import ids_of
    from salver.log.view import Log
    from salver.monitors.accuracy import since

    log = log_folder(given)
    other = "" if given.against is None else f"and version = {given.against}"
    rows = Log(log).sql(
        f"select id::VARCHAR, inputs, outputs->{quoted('/' + output)} from predictions where model = ? and ts >= ? {other} "
        "and route <> 'shadow' order by ts desc limit ?",
        [name, since(given.since, time.time_ns() // 1000), given.rows],
    ).rows()  # fmt: skip
    with joined(log, name, output) as found:
        labels = found.labels_of(ids_of(made_id for made_id, _, _ in rows))
    return [(inputs, answer, label) for (_, inputs, answer), label in zip(rows, labels, strict=True)]


def _run(model: Model, asked: list[tuple[Any, ...]]) -> Replay:
    from salver.engine.batch import values_of
    from salver.monitors.replay import compare

    output, decode = model.signature.prediction, msgspec.json.decode
    numbers = {column.name for column in model.signature.columns if column.is_number}
    kept: list[tuple[dict[str, Any], Any, Any, Any]] = []
    for inputs, prediction, label in asked:
        row = {name: _INFINITE.get(value, value) if name in numbers and isinstance(value, str) else value
               for name, value in decode(inputs).items()}  # fmt: skip
        try:
            checked = model.checker.check(row)
        except InputError:
            continue
        kept.append((row, checked, decode(prediction), label))
    if not kept:
        raise ConfigError(
            "none of the logged rows fits this version: they lack columns, or columns were not written as they were"
        )
    answers: list[Any] = []
    for start in range(0, len(kept), _BATCH):
        arrays = model.predict_rows([checked for _, checked, _, _ in kept[start : start + _BATCH]])
        answers += values_of(output, arrays[output.name])
    rows, _, before, labels = zip(*kept, strict=True)
    numeric = output.classes is None and output.dtype not in ("string", "category", "bool")
    return compare(rows, before, answers, labels, len(asked) - len(kept), numeric)


def _print(reference: str, found: Replay) -> None:
    share = found.changed
    facts: list[tuple[str, object]] = [
        (reference, f"asked {found.rows} logged rows again" + (f", {found.refused} do not fit it" if found.refused else "")),
        ("answers that change", f"{share.value:.2%} [{share.low:.2%}, {share.high:.2%}]"),
        ("change", ", ".join(f"{name} {value:.4g}" for name, value in found.difference.items())),
        ("commonest", ", ".join(f"{flip} ({count})" for flip, count in found.flips.items())),
    ]
    if found.verdict:
        told = found.verdict
        facts += [
            (told.measure, f"{told.before:.4f} before, {told.after:.4f} after, on {told.labelled} rows with labels"),
            (
                "difference",
                f"{told.difference.value:+.4f} [{told.difference.low:+.4f}, {told.difference.high:+.4f}], p {told.p:.3g}",
            ),
            ("better", told.better),
        ]
    else:
        facts.append(("better", "not known: no row has a label"))
    print_facts(facts)
    if found.segments:
        print()
        shown = [(one.column, one.value, one.rows, f"{one.changed:.1%}") for one in found.segments]
        print_table(["COLUMN", "VALUE", "ROWS", "CHANGE"], shown)
