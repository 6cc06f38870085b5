"""What is done with versions: `salver publish`, `verify`, `export`, `delete`."""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from salver.cli.options import add_json, add_store, add_who, registry_of
from salver.cli.table import print_json, print_table

if TYPE_CHECKING:
    from salver.cli.options import Commands


def add(commands: Commands) -> None:
    publish = commands.add_parser("publish", help="publish an artifact", description="Make the artifact in a folder a version.")
    publish.add_argument("folder", type=Path, metavar="FOLDER", help="the folder of an artifact")
    delete = commands.add_parser("delete", help="delete a version", description="Delete a version for ever.")
    delete.add_argument("model", metavar="NAME@VERSION", help="iris@3")
    verify = commands.add_parser("verify", help="check what is stored", description="Hold versions against their digests.")
    verify.add_argument("model", nargs="?", metavar="REF", help="a model or one version of it (default: all models)")
    verify.add_argument("--public-key", type=Path, metavar="FILE", help="hold them against their signatures too")
    verify.add_argument("--clean", action="store_true", help="remove what publishing left behind that was never finished")
    verify.add_argument("--older-than", type=float, default=24.0, metavar="HOURS", help="... by then (default %(default)g)")
    export = commands.add_parser("export", help="write a version elsewhere", description="Write a version for other programs.")
    export.add_argument("model", metavar="REF", help="iris@3")
    export.add_argument("destination", type=Path, metavar="DESTINATION", help="a folder or a file that is not there yet")
    export.add_argument(
        "--to", choices=("folder", "onnx"), default="folder", help="all of it, or its graph (default %(default)s)"
    )
    for command, run in ((publish, _publish), (delete, _delete), (verify, _verify), (export, _export)):
        add_store(command)
        if command in (publish, delete):
            add_who(command)
        add_json(command)
        command.set_defaults(run=run)


def _publish(given: argparse.Namespace) -> int:
    from salver.artifact.artifact import open_artifact

    registry, folder = registry_of(given), given.folder.expanduser()
    name = open_artifact(folder).manifest.name
    version = registry.publish(folder, by=given.by, why=given.why)
    if given.json:
        print_json({"name": name, "version": version, "aliases": registry.route(name).aliases_of(version)})
        return 0
    serves = registry.resolve(name)[1] == version
    print(f"{name}@{version} is published" + ("" if serves else f"; `salver promote {name}@{version}` lets it answer"))
    return 0


def _delete(given: argparse.Namespace) -> int:
    registry = registry_of(given)
    name, version = registry.resolve(given.model)
    registry.delete(given.model, by=given.by, why=given.why)
    if given.json:
        print_json({"name": name, "deleted": version})
    else:
        print(f"{name}@{version} is deleted")
    return 0


def _verify(given: argparse.Namespace) -> int:
    registry = registry_of(given)
    checked = registry.verify(given.model, given.public_key)
    names = sorted({check.name for check in checked}) if given.model else registry.store.children("models")
    old = timedelta(hours=given.older_than)
    left = {name: numbers for name in names if (numbers := (registry.sweep if given.clean else registry.unfinished)(name, old))}
    if given.json:
        print_json({"versions": checked, "removed" if given.clean else "unfinished": left})
    else:
        rows = [(check.name, check.version, check.problem or "as published") for check in checked]
        print_table(("MODEL", "VERSION", "STATE"), rows, empty=f"no models in {registry.store.url}")
        for name, numbers in left.items():
            what = "removed" if given.clean else "`salver verify --clean` removes them"
            print(f"{name}: never finished: {', '.join(map(str, numbers))}; {what}")
    return 1 if any(check.problem for check in checked) else 0


def _export(given: argparse.Namespace) -> int:
    registry = registry_of(given)
    written = registry.export(given.model, given.destination.expanduser(), given.to)
    if given.json:
        name, version = registry.resolve(given.model)
        print_json({"name": name, "version": version, "to": given.to, "destination": str(written)})
    else:
        print(written)
    return 0
