"""What differs between two versions of a model. Pure: two manifests in, a list of changes out."""

from __future__ import annotations

from typing import Any

import msgspec

from salver.artifact.manifest import Manifest

_NOISE = {"lowering", "format", "name", "files"}
"""Parts that are compared otherwise: a time measured again is no change of a model."""


class Change(msgspec.Struct, frozen=True):
    """One fact that differs. None: the one has no such thing."""

    what: str  # "signature.columns.age.nullable", "metrics.accuracy", "size_bytes"
    before: Any
    after: Any


def changes(before: Manifest, after: Manifest) -> list[Change]:
    """All facts in which `after` differs from `before`: columns and outputs by name, files by path."""
    was, now = _facts(before), _facts(after)
    return [Change(what, was.get(what), now.get(what)) for what in {**was, **now} if was.get(what) != now.get(what)]


def _facts(manifest: Manifest) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for part in manifest.__struct_fields__:
        if part not in _NOISE:
            _flatten(part, getattr(manifest, part), facts)
    facts["signature.order"] = manifest.signature.names
    facts["lowering.chosen"] = manifest.lowering.chosen or "none"
    facts.update({f"files.{name}": file.sha256[:12] for name, file in manifest.files.items()})
    facts["size_bytes"] = manifest.size_bytes
    facts["digest"] = manifest.digest
    return facts


def _flatten(at: str, value: Any, facts: dict[str, Any]) -> None:
    if isinstance(value, msgspec.Struct):
        parts = {field: getattr(value, field) for field in value.__struct_fields__}
    elif isinstance(value, dict):
        parts = {str(key): part for key, part in value.items()}  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(value, tuple) and value and all(hasattr(part, "name") for part in value):
        parts = {str(part.name): part for part in value}  # columns, outputs
    else:
        facts[at] = value
        return
    for name, part in parts.items():
        _flatten(f"{at}.{name}", part, facts)
