"""Which version answers: `salver promote`, `demote`, `rollback`, `tag`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from salver.cli.options import add_json, add_store, add_who, registry_of
from salver.cli.table import print_json
from salver.errors import ConfigError
from salver.registry.route import CHAMPION
from salver.types.reference import Reference

if TYPE_CHECKING:
    from salver.cli.options import Commands
    from salver.registry.route import Route


def add(commands: Commands) -> None:
    promote = commands.add_parser("promote", help="give a version an alias", description="Let an alias be this version.")
    promote.add_argument("model", metavar="REF", help="iris@3, or iris@challenger")
    promote.add_argument("--alias", default=CHAMPION, help="which alias (default %(default)s, which answers for the model)")
    demote = commands.add_parser("demote", help="take an alias away", description="Take an alias away.")
    demote.add_argument("model", metavar="NAME@ALIAS", help="iris@challenger")
    rollback = commands.add_parser("rollback", help="undo a promotion", description="Let an alias be what it was before.")
    rollback.add_argument("model", metavar="NAME", help="the model's name")
    rollback.add_argument("--alias", default=CHAMPION, help="which alias (default %(default)s)")
    tag = commands.add_parser("tag", help="put tags on a version", description="Put tags on a version; KEY= takes one away.")
    tag.add_argument("model", metavar="REF", help="iris@3")
    tag.add_argument("tags", nargs="+", metavar="KEY=VALUE")
    for command, run in ((promote, _promote), (demote, _demote), (rollback, _rollback), (tag, _tag)):
        add_store(command)
        add_who(command)
        add_json(command)
        command.set_defaults(run=run)


def _promote(given: argparse.Namespace) -> int:
    route = registry_of(given).promote(given.model, given.alias, by=given.by, why=given.why)
    return _said(given, route, f"{_name(given)}@{given.alias} is version {route.aliases[given.alias]}")


def _demote(given: argparse.Namespace) -> int:
    route = registry_of(given).demote(given.model, by=given.by, why=given.why)
    return _said(given, route, f"{given.model} is gone")


def _rollback(given: argparse.Namespace) -> int:
    route = registry_of(given).rollback(given.model, given.alias, by=given.by, why=given.why)
    return _said(given, route, f"{_name(given)}@{given.alias} is version {route.aliases[given.alias]} again")


def _tag(given: argparse.Namespace) -> int:
    tags = dict(tag.split("=", 1) for tag in given.tags if tag.partition("=")[0] and "=" in tag)
    if len(tags) != len(given.tags):
        raise ConfigError("a tag is KEY=VALUE, each key once")
    registry = registry_of(given)
    name, version = registry.resolve(given.model)
    route = registry.tag(Reference(name, version), tags, by=given.by, why=given.why)
    kept = ", ".join(f"{key}={value}" for key, value in route.tags.get(version, {}).items())
    return _said(given, route, f"{name}@{version} is tagged {kept}" if kept else f"{name}@{version} has no tags")


def _said(given: argparse.Namespace, route: Route, text: str) -> int:
    if given.json:
        print_json({"name": _name(given), "route": route})
    else:
        print(text)
    return 0


def _name(given: argparse.Namespace) -> str:
    return Reference.parse(given.model).name
