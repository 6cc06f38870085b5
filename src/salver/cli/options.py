"""Options that many commands share."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from salver.config import STORE_VARIABLE, store_folder
from salver.errors import ConfigError

if TYPE_CHECKING:
    from salver.artifact.trust import Policy
    from salver.registry.registry import Registry
    from salver.server.settings import Settings

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # pyright: ignore[reportPrivateUsage]


def add_store(command: argparse.ArgumentParser) -> None:
    """`--store URL`: where models, cache and log are kept."""
    command.add_argument(
        "--store", metavar="URL", help=f"where models and the log are kept: a folder, s3://, gs://, az:// (or {STORE_VARIABLE})"
    )


def add_watch(command: argparse.ArgumentParser) -> None:
    """`--watch SECONDS`."""
    command.add_argument(
        "--watch",
        type=float,
        default=2.0,
        metavar="SECONDS",
        help="how often to look whether a model's route has changed; 0: never (default %(default)g)",
    )


def add_trust(command: argparse.ArgumentParser) -> None:
    """What may be read although it runs code; `policy_of` is its twin."""
    command.add_argument(
        "--pickle",
        choices=("never", "listed", "trusted"),
        default="listed",
        help="of models that run code when they are read, serve none, those that you saved or that are signed, or all "
        "(default %(default)s; a model file given here is served unless 'never')",
    )
    command.add_argument("--require-signature", action="store_true", help="serve only what is signed with --public-key")
    command.add_argument("--public-key", type=Path, metavar="FILE", help="the key that signatures are verified with, in PEM")


def policy_of(given: argparse.Namespace) -> Policy:
    """The policy that the options say. Raises ConfigError when they make no sense."""
    from salver.artifact.trust import Policy

    key: Path | None = given.public_key
    if key is not None and not key.expanduser().is_file():
        raise ConfigError(f"no key at {key}")
    return Policy(given.pickle, given.require_signature, key and key.expanduser())


def add_door(command: argparse.ArgumentParser) -> None:
    """Who is let in and how; `server_settings` is its twin."""
    command.add_argument("--tls-cert", metavar="FILE", help="speak HTTPS, with this certificate and its chain, in PEM")
    command.add_argument("--tls-key", metavar="FILE", help="the certificate's private key, in PEM")
    command.add_argument("--tls-client-ca", metavar="FILE", help="take only clients with a certificate of these authorities")
    command.add_argument("--insecure-no-keys", action="store_true", help="let everybody in who reaches the address")
    command.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of server.toml: limits.body_bytes=1MB (docs/settings.md lists them)",
    )


def server_settings(given: argparse.Namespace) -> Settings:
    """The settings of a server: the options, else `server.toml` in the store, else the defaults. Raises ConfigError."""
    from salver.server.protocols.platform import platform_changes
    from salver.server.settings import read_settings

    options = {"tls.cert": given.tls_cert, "tls.key": given.tls_key, "tls.client_ca": given.tls_client_ca}
    changes = [f"{name}={value}" for name, value in options.items() if value]
    changes += ["access.keys=never"] if given.insecure_no_keys else []
    changes = [*given.changes, *changes]
    settings = read_settings(store_folder(given.store), changes)
    said = platform_changes(settings, os.environ)
    return read_settings(store_folder(given.store), [*changes, *said]) if said else settings


def add_log(command: argparse.ArgumentParser) -> None:
    """`--log FOLDER`: the log that is read."""
    command.add_argument("--log", metavar="FOLDER", help="where the log is (default: log/ in the store)")


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
