"""`salver label`: what turned out to be true, from a file into the log."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salver.cli.log import log_folder
from salver.cli.options import add_json, add_log, add_store, registry_of
from salver.cli.table import print_facts, print_json
from salver.errors import ConfigError, SalverError
from salver.log.labels import Accept, Given, LabelWriter, acceptor, check, keeper
from salver.log.settings import read_settings
from salver.log.signatures import noted

if TYPE_CHECKING:
    from salver.cli.options import Commands

_BATCH = 100_000


def add(commands: Commands) -> None:
    label = commands.add_parser(
        "label",
        help="give predictions their labels",
        description="Give predictions their labels, from a file with columns id or key, label and, if wanted, weight.",
    )
    label.add_argument("model", metavar="NAME", help="the model that made the predictions")
    label.add_argument("file", type=Path, help="a .csv, .parquet or .jsonl file")
    label.add_argument("--id", default="id", metavar="COLUMN", help="the column of prediction ids (default: id)")
    label.add_argument("--key", default="key", metavar="COLUMN", help="the column of your own keys (default: key)")
    label.add_argument("--label", default="label", metavar="COLUMN", help="the column of labels (default: label)")
    label.add_argument("--weight", default="weight", metavar="COLUMN", help="the column of weights (default: weight)")
    add_store(label)
    add_log(label)
    add_json(label)
    label.set_defaults(run=_label)


def _label(given: argparse.Namespace) -> int:
    from salver.log.counting import Batch, count

    log = log_folder(given)
    keep = keeper(log, read_settings(log), given.model)
    checked = check(_read(given), given.model, _acceptor(given, log), keep, "file")
    facts: dict[str, Any] = {"taken": len(checked.labels)}
    if checked.labels:
        writer = LabelWriter(log)
        with tempfile.NamedTemporaryFile(suffix=".jsonl") as lines:
            for start in range(0, len(checked.labels), _BATCH):
                lines.write(writer.append(checked.labels[start : start + _BATCH]))
            lines.flush()
            writer.close()
            counts = count(log, Batch(lines.name, given.model, checked.labels[0].ts))
        facts |= {name: getattr(counts, name) for name in counts.__struct_fields__}
    facts["invalid"] = sum(checked.wrong.values())
    if given.json:
        print_json({**facts, "reasons": checked.wrong, "refused": checked.refused})
    else:
        print_facts([*facts.items(), *((f"  {reason}", count) for reason, count in checked.wrong.items())])
    return 0 if checked.labels or not checked.wrong else 1


def _read(given: argparse.Namespace) -> Iterator[Given]:
    from salver.tables import read_file

    columns = read_file(given.file)
    if given.label not in columns or not {given.id, given.key} & columns.keys():
        raise ConfigError(f"{given.file} needs a column '{given.label}' and one of '{given.id}' and '{given.key}'")
    rows = len(columns[given.label])

    def of(name: str) -> Iterable[Any]:
        return columns[name].tolist() if name in columns else [None] * rows

    for made_id, key, label, weight in zip(of(given.id), of(given.key), of(given.label), of(given.weight), strict=True):
        yield Given(_present(label), _text(made_id), _text(key), _present(weight))


def _present(value: Any) -> Any:
    return None if value is None or value != value else value


def _text(value: Any) -> str | None:
    """A key as text: 17.0, which is how a column with gaps is read, is the key "17"."""
    if _present(value) is None or value == "":
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _acceptor(given: argparse.Namespace, log: Path) -> Accept:
    """By the model's signature, where the log or the registry has it, else by what it is seen to predict."""
    signature = noted(log, given.model)
    if signature is not None:
        return acceptor(signature, from_text=True)
    try:
        registry = registry_of(given)
        return acceptor(registry.manifest(given.model, registry.versions(given.model)[-1]).signature, from_text=True)
    except (SalverError, IndexError):
        pass
    from salver.log.seen import acceptor_seen

    return acceptor_seen(log, given.model)
