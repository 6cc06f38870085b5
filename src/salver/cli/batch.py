"""`salver batch`: a table in, the same table with predictions out."""

from __future__ import annotations

import argparse
import sys
import threading
from typing import TYPE_CHECKING

from salver.cli.options import add_json, add_log, add_store, add_trust, policy_of
from salver.cli.table import print_json

if TYPE_CHECKING:
    from salver.batch.job import Result
    from salver.batch.progress import Progress
    from salver.cli.options import Commands

_FORMATS = ("parquet", "arrow", "csv", "tsv", "jsonl")
_TOLD_S = 10.0  # how often a terminal that is none is told


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "batch",
        help="score a table",
        description="Score every row of a table, each exactly once. Run again, a job that was cut short goes on.",
    )
    command.add_argument("model", metavar="REF", help="the version that answers: iris@champion")
    command.add_argument("input", help="a file, a folder, a pattern, a database (postgresql://…#table), or - ")
    command.add_argument("output", help="a folder, a file, a database (postgresql://…#table), or -")
    command.add_argument("--query", metavar="SQL", help="what is read of a database, instead of a table")
    command.add_argument("--from", dest="input_format", choices=_FORMATS, help="the input's format, where names do not say it")
    command.add_argument("--to", dest="output_format", choices=_FORMATS, help="the output's format (a folder: parquet)")
    command.add_argument(
        "--keep", metavar="COLUMNS", help="the input's columns that stay beside the predictions (default: all)"
    )
    command.add_argument(
        "--columns", metavar="COLUMNS", help="the model's columns as the input calls them, in the model's order"
    )
    command.add_argument("--key", metavar="COLUMN", help="your own key for a row, by which labels find it")
    command.add_argument(
        "--bad-rows", metavar="FILE", help="where rows go that get no prediction (default: the first ends the job)"
    )
    command.add_argument("--overwrite", action="store_true", help="do it anew, whatever is there")
    command.add_argument("--workers", type=int, metavar="N", help="how many score at once (default: one a core)")
    command.add_argument("--engine", choices=("local", "ray"), default="local", help="where (default: %(default)s)")
    command.add_argument("--address", help="the Ray cluster (default: a local one)")
    command.add_argument("--no-log", action="store_true", help="do not make the output part of the log")
    command.add_argument("--quiet", action="store_true", help="say nothing on the way")
    add_store(command)
    add_log(command)
    add_trust(command)
    add_json(command)
    command.set_defaults(run=_batch)


def _batch(given: argparse.Namespace) -> int:
    from salver.batch.run import batch

    _stop_at_sigterm()
    told = _Told(given.quiet)
    try:
        result = batch(
            given.model,
            given.input,
            given.output,
            store=given.store,
            log=False if given.no_log else given.log or True,
            keep=None if given.keep is None else _listed(given.keep),
            columns=_listed(given.columns),
            key=given.key,
            bad_rows=given.bad_rows,
            query=given.query,
            input_format=given.input_format,
            output_format=given.output_format,
            overwrite=given.overwrite,
            workers=given.workers,
            engine=given.engine,
            address=given.address,
            policy=policy_of(given),
            progress=told,
        )
    except KeyboardInterrupt:
        print("\nsalver: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    finally:
        told.end()
    if given.json:
        print_json(result)
    elif given.output != "-":
        print(_said(result, given.bad_rows))
    return 0


def _listed(text: str | None) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()] if text else []


def _said(result: Result, bad_rows: str | None) -> str:
    what = f"{result.rows:,} rows scored by {result.model}@{result.version} in {result.output}"
    if result.bad:
        reasons = ", ".join(f"{count:,} {code}" for code, count in sorted(result.bad.items()))
        what += f"; {sum(result.bad.values()):,} bad rows in {bad_rows} ({reasons})"
    if not result.ran:
        return f"nothing to do: {what}"
    resumed = f", {result.resumed} parts of an earlier run" if result.resumed else ""
    return f"{what} ({result.rows_per_s:,.0f} rows/s{resumed})"


class _Told:
    """Progress on standard error: one line that changes on a terminal, one now and then elsewhere."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._due_s = _TOLD_S
        self._open = False

    def __call__(self, now: Progress) -> None:
        if self._quiet:
            return
        if self._terminal:
            print(f"\r\033[K{now}", end="", file=sys.stderr, flush=True)
            self._open = True
        elif now.seconds >= self._due_s:
            self._due_s = now.seconds + _TOLD_S
            print(now, file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._open:
            print(file=sys.stderr)


def _stop_at_sigterm() -> None:
    import signal

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
