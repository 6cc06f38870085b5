"""`salver log`: look at predictions as they come, ask the log in SQL, take it elsewhere, erase from it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from salver.cli.options import add_json, add_log, add_store
from salver.cli.table import print_json, print_table
from salver.config import store_folder
from salver.errors import ConfigError

if TYPE_CHECKING:
    from salver.cli.options import Commands
    from salver.log.record import Record
    from salver.log.view import Log

_FORMATS = {".parquet": "format parquet, compression zstd", ".csv": "format csv, header", ".jsonl": "format json"}
_SHOWN_ROWS = 1000


def add(commands: Commands) -> None:
    log = commands.add_parser("log", help="look into the prediction log", description="Look into the prediction log.")
    verbs = log.add_subparsers(dest="verb", required=True, metavar="VERB")

    tail = verbs.add_parser("tail", help="show the latest predictions")
    tail.add_argument("-n", dest="count", type=int, default=10, help="how many (default %(default)s)")
    tail.add_argument("-f", dest="follow", action="store_true", help="go on as predictions come")
    tail.add_argument("--model", help="of this model only")
    tail.set_defaults(run=_tail)

    query = verbs.add_parser("query", help="ask in SQL: tables predictions, labels, labels_in_force, and one for each model")
    query.add_argument("query", metavar="SQL")
    query.set_defaults(run=_query)

    export = verbs.add_parser("export", help="write predictions to a .parquet, .csv or .jsonl file")
    export.add_argument("file", type=Path)
    export.add_argument("--model", help="of this model only, with a column for each input and output")
    export.add_argument("--query", metavar="SQL", help="what this finds, instead of all predictions")
    export.set_defaults(run=_export)

    compact = verbs.add_parser("compact", help="make Parquet of what is written, now; a server does so by itself")
    compact.set_defaults(run=_compact)

    erase = verbs.add_parser("erase", help="erase the predictions and labels that were sent with a key, or with several")
    erase.add_argument("keys", nargs="+", metavar="KEY")
    erase.add_argument("--model", required=True)
    erase.set_defaults(run=_erase)

    for verb in (tail, query, export, compact, erase):
        add_store(verb)
        add_log(verb)
        add_json(verb)


def log_folder(given: argparse.Namespace) -> Path:
    """The log that a command means."""
    return Path(given.log).expanduser() if given.log else store_folder(given.store) / "log"


def _log(given: argparse.Namespace) -> Log:
    from salver.log.view import Log

    return Log(log_folder(given))


def _tail(given: argparse.Namespace) -> int:
    from salver.log.tail import follow, last

    folder = log_folder(given)
    records = last(folder, given.count)
    if len(records) < given.count and not given.follow:
        records = _cold(given)  # the others are Parquet already
    for record in records:
        _show(record, given)
    if given.follow:
        try:
            for record in follow(folder):
                _show(record, given)
        except KeyboardInterrupt:
            pass
    return 0


def _cold(given: argparse.Namespace) -> list[Record]:
    from salver.log.record import Record

    names = ", ".join(Record.__struct_fields__)
    found = _log(given).sql(f"select {names} from predictions order by ts desc limit ?", [given.count]).dicts()
    for row in found:
        row["id"] = str(row["id"])
        row["latency_us"] = row["latency_us"] or 0  # a batch has none
        row |= {name: msgspec.json.decode(row[name]) for name in ("inputs", "outputs", "flags") if row[name] is not None}
    return [Record(**row) for row in reversed(found)]


def _show(record: Record, given: argparse.Namespace) -> None:
    if given.model and record.model != given.model:
        return
    if given.json:
        line = msgspec.json.encode(record).decode()
    else:
        from datetime import UTC, datetime

        when = datetime.fromtimestamp(record.ts / 1e6, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        said = msgspec.json.encode(record.outputs).decode()
        took = f"{record.latency_us} µs"
        line = f"{when}  {record.id}  {record.model}@{record.version}  {took:>9}  {said}"
    print(line, flush=True)


def _query(given: argparse.Namespace) -> int:
    found = _log(given).sql(given.query).dicts()
    if given.json:
        print_json(found)
    elif found:
        print_table(list(found[0]), [list(row.values()) for row in found[:_SHOWN_ROWS]])
        if len(found) > _SHOWN_ROWS:
            print(f"… and {len(found) - _SHOWN_ROWS} more rows; --json prints all", file=sys.stderr)
    else:
        print("no rows")
    return 0


def _export(given: argparse.Namespace) -> int:
    from salver.log.duck import named

    options = _FORMATS.get(given.file.suffix)
    if options is None:
        raise ConfigError(f"export to one of {', '.join(_FORMATS)}")
    rows = _log(given).sql(given.query or f"select * from {named(given.model or 'predictions')}").save(given.file, options)
    _say(given, {"file": str(given.file), "rows": rows}, f"{rows} rows in {given.file}")
    return 0


def _compact(given: argparse.Namespace) -> int:
    from salver.log.compact import compact

    done = compact(log_folder(given))
    if done is None:
        raise ConfigError("another process is compacting this log")
    _say(given, done._asdict(), f"{done.rows} rows of {done.segments} segments are Parquet now")
    return 0


def _erase(given: argparse.Namespace) -> int:
    from salver.log.erase import erase

    done = erase(log_folder(given), given.model, *given.keys)
    _say(given, done._asdict(), f"{done.predictions} predictions and {done.labels} labels are erased")
    return 0


def _say(given: argparse.Namespace, facts: dict[str, object], text: str) -> None:
    if given.json:
        print_json(facts)
    else:
        print(text)
