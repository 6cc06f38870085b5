"""`salver stream`: messages in, predictions out, until it is told to stop."""

from __future__ import annotations

import argparse
import gc
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from salver.cli.options import add_json, add_log, add_store, add_trust, policy_of
from salver.cli.table import print_json
from salver.errors import ConfigError

if TYPE_CHECKING:
    from salver.cli.options import Commands


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a config file may say; the command line has the last word."""

    model: str | None = None
    source: str | None = None
    sink: str | None = None
    labels: str | None = None
    dead_letter: str | None = None
    group: str | None = None
    key: str | None = None
    batch: int | None = None
    metrics_port: int | None = None


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "stream",
        help="score messages as they come",
        description="Score messages as they come, each at least once, those of a key in their order.",
    )
    command.add_argument("model", metavar="REF", nargs="?", help="the version that answers: iris@champion")
    command.add_argument("source", nargs="?", help="where messages come from: redis://host/events, a file of JSON lines, -")
    command.add_argument("sink", nargs="?", help="where answers go, in the same way")
    command.add_argument("--labels", metavar="SOURCE", help="where labels come from")
    command.add_argument("--dead-letter", metavar="SINK", help="where messages go that can't be scored (default: SINK.dead)")
    command.add_argument("--group", help="those of a group share the messages (default: salver)")
    command.add_argument("--key", metavar="FIELD", help="the field with your own key, where messages have none themselves")
    command.add_argument("--batch", type=int, metavar="N", help="messages at most that are scored together (default: 1024)")
    command.add_argument("--until-empty", action="store_true", help="end when no message is left")
    command.add_argument("--metrics-port", type=int, metavar="PORT", help="answer Prometheus on this port of 127.0.0.1")
    command.add_argument("--config", type=Path, metavar="FILE", help="a TOML file that says all this")
    command.add_argument("--no-log", action="store_true", help="do not log predictions")
    add_store(command)
    add_log(command)
    add_trust(command)
    add_json(command)
    command.set_defaults(run=_stream)


def _stream(given: argparse.Namespace) -> int:
    from salver.stream.places import GROUP
    from salver.stream.run import BATCH, stream

    settings = _settings(given)
    if not (settings.model and settings.source and settings.sink):
        raise ConfigError("say which model, from where and to where: salver stream iris@champion SOURCE SINK")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    totals = stream(
        settings.model,
        settings.source,
        settings.sink,
        labels=settings.labels,
        dead_letter=settings.dead_letter,
        group=settings.group or GROUP,
        key=settings.key,
        store=given.store,
        log=False if given.no_log else given.log or True,
        batch=settings.batch or BATCH,
        until_empty=given.until_empty,
        metrics=None if settings.metrics_port is None else ("127.0.0.1", settings.metrics_port),
        policy=policy_of(given),
        stop=stop,
        started=gc.freeze,  # what is loaded by now stays: the garbage of messages is all there is to look for
    )
    if given.json:
        print_json(totals)
    else:
        dead = f", {sum(totals.dead.values()):,} in the dead-letter place" if totals.dead else ""
        labels = f", {totals.labels:,} labels" if totals.labels else ""
        print(f"{totals.scored:,} messages scored{dead}{labels}", file=sys.stderr if settings.sink == "-" else sys.stdout)
    return 0


def _settings(given: argparse.Namespace) -> Settings:
    """The config file's, and what the command line says instead. Raises ConfigError."""
    file = Settings()
    if given.config is not None:
        try:
            file = msgspec.toml.decode(given.config.read_bytes(), type=Settings)
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigError(f"{given.config}: {error}") from error
    said: dict[str, Any] = {name: getattr(given, name) for name in Settings.__struct_fields__}
    return msgspec.structs.replace(file, **{name: value for name, value in said.items() if value is not None})
