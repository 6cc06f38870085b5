"""`salver save`: a model file → a version in the registry."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salver.cli.options import add_json, add_store
from salver.cli.table import print_json
from salver.errors import ConfigError
from salver.types.reference import model_name

if TYPE_CHECKING:
    from salver.cli.options import Commands

_SHOWN = "save a trained model as a new version, with proof"


def add(commands: Commands) -> None:
    saving = commands.add_parser("save", help=_SHOWN, description=_SHOWN.capitalize() + ".")
    saving.add_argument("file", metavar="FILE", help="the file of a trained model")
    saving.add_argument("--name", help="the model's name (default: that of the file)")
    saving.add_argument("--sample", metavar="FILE", help="rows that the model was not trained on: csv, parquet, jsonl")
    saving.add_argument("--labels", metavar="COLUMN|FILE", help="what is true of the sample: a column of it, or a file")
    saving.add_argument("--by-time", action="store_true", help="the sample's rows are in order of time")
    saving.add_argument("--description", default="", help="what the model is for")
    saving.add_argument("--tag", action="append", default=[], metavar="NAME=VALUE", help="a tag; may be given several times")
    saving.add_argument(
        "--metadata", action="append", default=[], metavar="NAME=VALUE", help="anything else to be kept; several times"
    )
    saving.add_argument(
        "--policy",
        action="append",
        default=[],
        metavar="COLUMN:KIND=POLICY",
        help="what becomes of values that do not fit, as age:out_of_range=error; * for all columns; several times",
    )
    saving.add_argument("--on-unknown", choices=("error", "warn", "null"), help="the same for columns the model does not have")
    saving.add_argument("--by", default="", help="who saves it")
    saving.add_argument("--why", default="", help="why it is saved")
    add_store(saving)
    add_json(saving)
    saving.set_defaults(run=save)


def save(given: argparse.Namespace) -> int:
    """Save, and say what became of it. Raises SalverError when the model can't be saved."""
    from salver.lower.save import save as publish

    file = Path(given.file).expanduser()
    saved = publish(
        file,
        given.name or model_name(file.name.partition(".")[0]),
        sample=given.sample,
        labels=given.labels,
        by_time=given.by_time,
        store=given.store,
        description=given.description,
        tags=_pairs(given.tag, "--tag"),
        metadata=_pairs(given.metadata, "--metadata"),
        policies=_policies(given.policy),
        on_unknown=given.on_unknown,
        by=given.by,
        why=given.why,
    )
    if given.json:
        facts = {"name": saved.name, "version": saved.version, "digest": saved.digest, "store": saved.store}
        print_json({**facts, "manifest": saved.manifest})
    else:
        print(saved)
    return 0


def _pairs(given: list[str], option: str) -> dict[str, str]:
    made: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise ConfigError(f"{option} takes NAME=VALUE")
        made[name] = value
    return made


def _policies(given: list[str]) -> dict[str, Any]:
    made: dict[str, dict[str, str]] = {}
    for what, policy in _pairs(given, "--policy").items():
        column, colon, kind = what.rpartition(":")
        if not column or not colon:
            raise ConfigError("--policy takes COLUMN:KIND=POLICY, as age:out_of_range=error")
        made.setdefault(column, {})[kind] = policy
    return made
