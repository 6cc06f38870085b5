"""Which version answers: `salver promote`, `demote`, `rollback`, `canary`, `shadow`, `tag`."""

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
    _add_other_columns(promote)
    demote = commands.add_parser("demote", help="take an alias away", description="Take an alias away.")
    demote.add_argument("model", metavar="NAME@ALIAS", help="iris@challenger")
    rollback = commands.add_parser("rollback", help="undo a promotion", description="Let an alias be what it was before.")
    rollback.add_argument("model", metavar="NAME", help="the model's name")
    rollback.add_argument("--alias", default=CHAMPION, help="which alias (default %(default)s)")
    canary = commands.add_parser("canary", help="let a version answer a share", description="Let a version answer a share.")
    canary.add_argument("model", metavar="REF", help="iris@4; with --end, iris ends all canaries of the model")
    canary.add_argument("--percent", type=float, metavar="P", help="how much of what is asked of the model's bare name")
    canary.add_argument(
        "--sticky", default="", metavar="BY", help="header:NAME, field:COLUMN or key: callers alike in it get the same version"
    )
    canary.add_argument("--end", action="store_true", help="let it answer no share any more")
    _add_other_columns(canary)
    shadow = commands.add_parser("shadow", help="ask a version too", description="Ask a version too, and answer nobody by it.")
    shadow.add_argument("model", metavar="REF", help="iris@4; with --end, iris ends all shadows of the model")
    shadow.add_argument("--end", action="store_true", help="ask it no more")
    tag = commands.add_parser("tag", help="put tags on a version", description="Put tags on a version; KEY= takes one away.")
    tag.add_argument("model", metavar="REF", help="iris@3")
    tag.add_argument("tags", nargs="+", metavar="KEY=VALUE")
    every = (promote, _promote), (demote, _demote), (rollback, _rollback), (canary, _canary), (shadow, _shadow), (tag, _tag)
    for command, run in every:
        add_store(command)
        add_who(command)
        add_json(command)
        command.set_defaults(run=run)


def _add_other_columns(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--other-columns",
        action="store_true",
        help="although it takes other columns, or gives other outputs, than the version whose callers it will answer",
    )


def _promote(given: argparse.Namespace) -> int:
    route = registry_of(given).promote(given.model, given.alias, other_columns=given.other_columns, by=given.by, why=given.why)
    return _said(given, route, f"{_name(given)}@{given.alias} is version {route.aliases[given.alias]}")


def _demote(given: argparse.Namespace) -> int:
    route = registry_of(given).demote(given.model, by=given.by, why=given.why)
    return _said(given, route, f"{given.model} is gone")


def _rollback(given: argparse.Namespace) -> int:
    route = registry_of(given).rollback(given.model, given.alias, by=given.by, why=given.why)
    return _said(given, route, f"{_name(given)}@{given.alias} is version {route.aliases[given.alias]} again")


def _canary(given: argparse.Namespace) -> int:
    registry = registry_of(given)
    if given.end:
        return _said(
            given, registry.end_canary(given.model, by=given.by, why=given.why), f"{given.model} has no share any more"
        )
    if given.percent is None:
        raise ConfigError("say how much it answers: --percent 5; or --end")
    route = registry.canary(
        given.model, given.percent, given.sticky, other_columns=given.other_columns, by=given.by, why=given.why
    )
    sticks = f", by {given.sticky}" if given.sticky else ""
    return _said(given, route, f"{given.model} answers {given.percent:g} % of what {_name(given)} is asked{sticks}")


def _shadow(given: argparse.Namespace) -> int:
    registry = registry_of(given)
    if given.end:
        return _said(
            given, registry.end_shadow(given.model, by=given.by, why=given.why), f"{given.model} is no shadow any more"
        )
    route = registry.shadow(given.model, by=given.by, why=given.why)
    return _said(given, route, f"{given.model} is asked what {_name(given)} is asked; its answers go to the log alone")


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
