"""The `salver` command: reads the command line and calls the command, each in a module of its own.

Such a module has `add(commands)`, which describes its commands and says which function runs each: `run(given) -> exit code`.
To add one: write the module and list it in `COMMANDS`. What is heavy is imported when a command runs, not before.
"""

from __future__ import annotations

import argparse
import sys

from salver.cli import (
    accuracy,
    batch,
    doctor,
    key,
    label,
    log,
    models,
    monitor,
    replay,
    report,
    routes,
    save,
    serve,
    stream,
    trust,
    versions,
)
from salver.cli.events import configure
from salver.errors import SalverError
from salver.version import __version__

COMMANDS = (
    serve,
    save,
    models,
    routes,
    versions,
    trust,
    key,
    log,
    label,
    accuracy,
    replay,
    monitor,
    report,
    batch,
    stream,
    doctor,
)
"""In the order in which `salver --help` shows them."""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="salver", description="Takes trained models to production.")
    top.add_argument("--version", action="version", version=f"salver {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add(commands)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code is 0 only when it did what was asked."""
    given = parser().parse_args(arguments)
    configure()
    try:
        code: int = given.run(given)
        return code
    except SalverError as error:
        print(f"salver: {error.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def run() -> None:
    """The console script."""
    sys.exit(main())
