"""The `salver` command: reads the command line and calls the command, each in a module of its own.

Such a module has `add(commands)`, which describes its commands and says which function runs each: `run(given) -> exit code`.
To add one: write the module and list it in `COMMANDS`. What is heavy is imported when a command runs, not before; of the
modules, only that of the command is.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module

from salver.cli.events import configure
from salver.errors import SalverError
from salver.version import __version__

COMMANDS = {
    "serve": ("serve",),
    "save": ("save",),
    "models": ("models", "show", "diff", "history"),
    "routes": ("promote", "demote", "rollback", "canary", "shadow", "tag"),
    "versions": ("publish", "delete", "verify", "export"),
    "trust": ("sign", "trust"),
    "key": ("key",),
    "log": ("log",),
    "label": ("label",),
    "accuracy": ("accuracy",),
    "replay": ("replay",),
    "monitor": ("monitor",),
    "report": ("report",),
    "batch": ("batch",),
    "stream": ("stream",),
    "doctor": ("doctor",),
}
"""The commands of each module, in the order in which `salver --help` shows them."""

COUNTING = {"accuracy", "log", "label", "monitor", "report"}
"""What only adds up: threads for matrices would take a tenth of a second to start, and have nothing to do."""


def parser(command: str | None = None) -> argparse.ArgumentParser:
    """The whole command line, or as much of it as has `command`."""
    top = argparse.ArgumentParser(prog="salver", description="Takes trained models to production.")
    top.add_argument("--version", action="version", version=f"salver {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    wanted = [module for module, names in COMMANDS.items() if command in names]
    for module in wanted or COMMANDS:
        import_module(f"salver.cli.{module}").add(commands)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code is 0 only when it did what was asked."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in COUNTING:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    given = parser(arguments[0] if arguments else None).parse_args(arguments)
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
