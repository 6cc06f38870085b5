"""The `salver` command: reads the command line and calls the command, each in a module of its own."""

from __future__ import annotations

import argparse
import logging
import sys

from salver.config import STORE_VARIABLE
from salver.errors import SalverError
from salver.version import __version__


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="salver", description="Serve trained models.")
    top.add_argument("--version", action="version", version=f"salver {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve model files over HTTP", description="Serve model files over HTTP.")
    serve.add_argument("models", nargs="+", metavar="[NAME=]FILE", help="a model file, or the folder of an artifact")
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on (default %(default)s)")
    serve.add_argument("--port", type=int, default=8080, help="the port to listen on (default %(default)s)")
    serve.add_argument("--store", metavar="FOLDER", help=f"where the cache and the log are kept (or {STORE_VARIABLE})")
    serve.add_argument("--log", metavar="FOLDER", help="where predictions are logged (default: log/ in the store)")
    serve.add_argument("--no-log", action="store_true", help="do not log predictions")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code is 0 only when it did what was asked."""
    given = parser().parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        from salver.cli.serve import serve

        return serve(given)
    except SalverError as error:
        print(f"salver: {error.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def run() -> None:
    """The console script."""
    sys.exit(main())
