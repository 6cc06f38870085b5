"""`salver sign` and `salver trust`: vouching for models, for everybody with the key or for oneself."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from salver.artifact.manifest import FILENAME
from salver.cli.options import add_store, registry_of

if TYPE_CHECKING:
    from salver.cli.options import Commands

_MODEL = "iris@3, or the folder of an artifact"


def add(commands: Commands) -> None:
    sign = commands.add_parser("sign", help="sign a version", description="Sign a version with a private key.")
    sign.add_argument("model", metavar="REF", help=_MODEL)
    sign.add_argument("--private-key", type=Path, required=True, metavar="FILE", help="an elliptic-curve key in PEM")
    trust = commands.add_parser(
        "trust", help="let a version run code here", description="Put a version on your own list of models that may run code."
    )
    trust.add_argument("model", metavar="REF", help=_MODEL)
    for command, run in ((sign, _sign), (trust, _trust)):
        add_store(command)
        command.set_defaults(run=run)


def _sign(given: argparse.Namespace) -> int:
    from salver.artifact.artifact import open_artifact
    from salver.artifact.signing import sign

    folder = Path(given.model).expanduser()
    key = given.private_key.expanduser()
    if (folder / FILENAME).is_file():
        open_artifact(folder)
        sign(folder, key)
        print(f"{folder.name} is signed")
        return 0
    registry = registry_of(given)
    name, version = registry.resolve(given.model)
    registry.sign(name, version, key)
    print(f"{name}@{version} is signed")
    return 0


def _trust(given: argparse.Namespace) -> int:
    from salver.artifact.artifact import open_artifact
    from salver.artifact.trust import remember, runs_code

    folder = Path(given.model).expanduser()
    if not (folder / FILENAME).is_file():
        registry = registry_of(given)
        folder = registry.fetch(*registry.resolve(given.model))
    manifest = open_artifact(folder).manifest
    remember(manifest)
    reason = runs_code(manifest)
    print(f"{manifest.name} is trusted here" + (f": {reason}" if reason else "; it runs no code anyhow"))
    return 0
