"""`salver serve`: model files → lowered artifacts → a listening server."""

from __future__ import annotations

import argparse
import gc
import logging
import os
from typing import TYPE_CHECKING

from salver.cli.events import configure
from salver.cli.options import add_door, add_store, add_trust, add_watch, registry_of, server_settings
from salver.config import default_port
from salver.errors import SalverError
from salver.version import __version__

if TYPE_CHECKING:
    from salver.cli.options import Commands

logger = logging.getLogger("salver")

_MODELS = "[NAME=]FILE: a model file or an artifact's folder; or iris, iris@3, iris@champion from the store (default: all)"


def add(commands: Commands) -> None:
    serving = commands.add_parser("serve", help="serve models over HTTP", description="Serve models over HTTP.")
    serving.add_argument("models", nargs="*", metavar="MODEL", help=_MODELS)
    serving.add_argument("--host", default="127.0.0.1", help="the address to listen on (default %(default)s)")
    serving.add_argument("--port", type=int, default=default_port(), help="the port to listen on (default %(default)s)")
    serving.add_argument("--grpc-port", type=int, metavar="PORT", help="speak gRPC too, on this port (needs salver[grpc])")
    serving.add_argument(
        "--workers", type=_workers, default=1, metavar="N", help="processes that answer; about one a core (default %(default)s)"
    )
    add_watch(serving)
    add_store(serving)
    serving.add_argument("--log", metavar="FOLDER", help="where predictions are logged (default: log/ in the store)")
    serving.add_argument("--no-monitor", action="store_true", help="do not look at the log with the monitor every minute")
    serving.add_argument("--log-format", choices=("text", "json"), help="how events are told on standard error (default text)")
    serving.add_argument("--no-log", action="store_true", help="do not log predictions")
    add_trust(serving)
    add_door(serving)
    serving.set_defaults(run=serve)


def _workers(text: str) -> int:
    count = int(text)
    if count < 1 or (count > 1 and not hasattr(os, "fork")):
        raise argparse.ArgumentTypeError("a number from 1 on; more than 1 only where processes can fork (not on Windows)")
    return count


def serve(given: argparse.Namespace) -> int:
    """Serve until told to stop. Raises SalverError when a model can't be served."""
    gc.disable()  # while what stays is imported and loaded; a server that is about to answer enables it
    given.changes += [f"events.format={given.log_format}"] if given.log_format else []
    form = server_settings(given).events.format
    configure(form)
    if form == "text":
        return _serve(given)
    logger.info("Salver %s starts", __version__, extra={"fields": {"event": "start", "version": __version__}})
    try:
        code = _serve(given)
    except SalverError as error:
        logger.critical("%s", error.message, extra={"fields": {"event": "failed", "code": error.code}})
        return 1
    logger.info("stopped", extra={"fields": {"event": "stop", "exit_code": code}})
    return code


def _serve(given: argparse.Namespace) -> int:
    from salver.cli.serving import Serving
    from salver.door.keys import Keys
    from salver.server.entrance import require_keys
    from salver.server.listening import listen

    require_keys(given.host, server_settings(given), Keys(registry_of(given).store))
    listeners = listen(given.host, given.port)
    fields = {"event": "listening", "host": given.host, "port": given.port}
    logger.info("listening on %s:%d", given.host, given.port, extra={"fields": fields})
    grpc_listeners = [] if given.grpc_port is None else listen(given.host, given.grpc_port, "--grpc-port")
    serving = Serving(given, listeners, grpc_listeners)
    return serving.alone() if given.workers == 1 else serving.by_workers(given.workers)
