"""Options that many commands share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from salver.config import STORE_VARIABLE

if TYPE_CHECKING:
    from salver.registry.registry import Registry

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # pyright: ignore[reportPrivateUsage]


def add_store(command: argparse.ArgumentParser) -> None:
    """`--store URL`: where models, cache and log are kept."""
    command.add_argument(
        "--store", metavar="URL", help=f"where models and the log are kept: a folder, s3://, gs://, az:// (or {STORE_VARIABLE})"
    )


def add_json(command: argparse.ArgumentParser) -> None:
    """`--json`: facts for programs."""
    command.add_argument("--json", action="store_true", help="print JSON, for programs")


def add_who(command: argparse.ArgumentParser) -> None:
    """`--by` and `--why`: what the history of the model keeps of a change."""
    command.add_argument("--by", default="", metavar="WHO", help="who makes the change (default: your user name)")
    command.add_argument("--why", default="", metavar="TEXT", help="why")


def registry_of(given: argparse.Namespace) -> Registry:
    """The registry in the store that `--store` names."""
    from salver.registry.registry import Registry

    return Registry(given.store)
