"""What is in the registry: `salver models`, `show`, `diff`, `history`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from salver.cli.options import add_json, add_store, registry_of
from salver.cli.table import moment, print_facts, print_json, print_table, size
from salver.errors import ConfigError

if TYPE_CHECKING:
    from salver.cli.options import Commands
    from salver.registry.registry import Registry


def add(commands: Commands) -> None:
    models = commands.add_parser("models", help="list the models", description="List the models of the store.")
    show = commands.add_parser(
        "show", help="show a model", description="Show a version of a model, and which versions there are."
    )
    show.add_argument("model", metavar="REF", help="iris, iris@3 or iris@champion")
    diff = commands.add_parser("diff", help="compare two versions", description="Show in what two versions of a model differ.")
    diff.add_argument("model", metavar="NAME", help="the model's name")
    diff.add_argument("before", metavar="A", help="a version's number or alias")
    diff.add_argument("after", metavar="B", help="another's")
    history = commands.add_parser(
        "history", help="who changed what", description="Show who changed a model's route, when and why."
    )
    history.add_argument("model", metavar="NAME", help="the model's name")
    for command, run in ((models, _models), (show, _show), (diff, _diff), (history, _history)):
        add_store(command)
        add_json(command)
        command.set_defaults(run=run)


def _models(given: argparse.Namespace) -> int:
    registry = registry_of(given)
    listed = [_model(registry, name) for name in registry.models()]
    if given.json:
        print_json({"models": listed})
        return 0
    rows = [
        (
            of["name"],
            of["default"],
            of["versions"][-1],
            _aliases(of["aliases"]),
            of["framework"],
            size(of["size_bytes"]),
            moment(of["created"]),
        )
        for of in listed
    ]
    headings = ("MODEL", "SERVED", "LATEST", "ALIASES", "TRAINED WITH", "SIZE", "MADE")
    print_table(headings, rows, empty=f"no models in {registry.store.url}; `salver publish` and salver.save() put them there")
    return 0


def _model(registry: Registry, name: str) -> dict[str, Any]:
    _, version = registry.resolve(name)
    manifest = registry.manifest(name, version)
    return {
        "name": name,
        "default": version,
        "versions": registry.versions(name),
        "aliases": registry.route(name).aliases,
        "framework": f"{manifest.framework.name} {manifest.framework.version}",
        "size_bytes": manifest.size_bytes,
        "created": manifest.created,
    }


def _show(given: argparse.Namespace) -> int:
    import msgspec

    registry = registry_of(given)
    name, version = registry.resolve(given.model)
    manifest, route, claim = registry.manifest(name, version), registry.route(name), registry.claim(name, version)
    tags = {**(getattr(manifest, "tags", None) or {}), **route.tags.get(version, {})}
    facts: dict[str, Any] = {
        "name": name,
        "version": version,
        "aliases": route.aliases_of(version),
        "tags": tags,
        "published_by": claim.by if claim else "",
        "published_at": claim.at if claim else "",
        "why": claim.why if claim else "",
        "digest": manifest.digest,
        "size_bytes": manifest.size_bytes,
        "versions": registry.versions(name),
        "canaries": msgspec.to_builtins(route.canaries),
        "shadows": list(route.shadows),
        "manifest": msgspec.to_builtins(manifest),
    }
    if given.json:
        print_json(facts)
        return 0
    _print_version(facts, manifest)
    return 0


def _print_version(facts: dict[str, Any], manifest: Any) -> None:
    from salver.artifact.described import how_served

    signature = manifest.signature
    metrics = getattr(manifest, "metrics", None) or {}
    published = f"{moment(facts['published_at'])} by {facts['published_by']}" if facts["published_by"] else ""
    print_facts(
        [
            ("model", f"{facts['name']}@{facts['version']}"),
            ("aliases", facts["aliases"]),
            ("description", getattr(manifest, "description", "")),
            ("tags", [f"{key}={value}" for key, value in facts["tags"].items()]),
            ("published", published + (f", {facts['why']}" if facts["why"] else "")),
            ("model made", moment(manifest.created)),
            ("how", "\n".join(how_served(manifest))),
            (
                "metrics",
                [f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in metrics.items()],
            ),
            ("outputs", [f"{output.name} ({_classes(output)})" for output in signature.outputs]),
            ("size", size(facts["size_bytes"])),
            ("digest", facts["digest"]),
            ("versions", facts["versions"]),
            ("canaries", [f"{made['to']} {made['percent']:g} % {made['sticky']}".rstrip() for made in facts["canaries"]]),
            ("shadows", facts["shadows"]),
        ]
    )
    print()
    print_table(("COLUMN", "TYPE", "MISSING", "CATEGORIES"), [_column(column) for column in signature.columns])


def _column(column: Any) -> tuple[object, ...]:
    shown = [str(category) for category in (column.categories or ())[:8]]
    if column.categories and len(column.categories) > len(shown):
        shown.append(f"… ({len(column.categories)})")
    return column.name, column.dtype, "may be" if column.nullable else "", shown


def _classes(output: Any) -> str:
    if output.classes is None or output.is_multilabel:
        return str(output.dtype)
    shown = ", ".join(str(label) for label in output.classes[:8])
    return shown + (f", … {len(output.classes)} classes" if len(output.classes) > 8 else "")


def _diff(given: argparse.Namespace) -> int:
    registry = registry_of(given)
    before, after = (_version(registry, given.model, which) for which in (given.before, given.after))
    changes = registry.diff(given.model, before, after)
    if given.json:
        print_json({"name": given.model, "before": before, "after": after, "changes": changes})
        return 0
    rows = [(change.what, _said(change.before), _said(change.after)) for change in changes]
    print_table(("WHAT", f"{given.model}@{before}", f"{given.model}@{after}"), rows, empty="they are the same")
    return 0


def _version(registry: Registry, name: str, which: str) -> int:
    return registry.resolve(f"{name}@{which.rpartition('@')[2]}")[1]


def _said(value: Any) -> str:
    """A fact of a manifest on one line."""
    if value is None:
        return "–"
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)  # pyright: ignore[reportUnknownArgumentType]
    return text if len(text) <= 60 else f"{text[:59]}…"


def _history(given: argparse.Namespace) -> int:
    from salver.registry.route import Route

    registry = registry_of(given)
    if "@" in given.model:
        raise ConfigError("the history is that of a model, so name it without a version")
    name, _ = registry.resolve(given.model)
    routes = registry.history(name)
    if given.json:
        print_json({"name": name, "history": routes})
        return 0
    print_table(
        ("NUMBER", "WHEN", "WHO", "CHANGE", "WHY"),
        [
            (route.number, moment(route.at), route.by, route.since(earlier), route.why)
            for earlier, route in zip([Route(), *routes], routes, strict=False)
        ],
    )
    return 0


def _aliases(aliases: dict[str, int]) -> str:
    return ", ".join(f"{alias}={version}" for alias, version in sorted(aliases.items()))
