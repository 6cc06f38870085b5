"""What a server says of the versions that it follows."""

from __future__ import annotations

from typing import Any

from salver.engine.engine import Engine


def described(engine: Engine, name: str) -> dict[str, Any]:
    """Who answers for a model, and where each of its versions is; empty for one that is not out of the registry."""
    life = engine.lifecycles.get(name)
    if life is None:
        return {}
    from salver.engine.shadow import facts

    routing = life.routing
    return {
        "routing": {
            "route": life.route.number,
            "default": routing.default,
            "aliases": routing.aliases,
            "canaries": [{"version": share.version, "percent": share.percent} for share in routing.shares],
            "sticky": routing.sticky,
            "shadows": list(routing.shadows),
            "by": life.route.by,
            "at": life.route.at,
            "why": life.route.why,
        },
        "versions": [
            {"version": version, "state": status.state} | ({"why": status.why} if status.why else {})
            for version, status in sorted(life.versions.items())
        ],
        "shadows": [facts(shadow) for shadow in engine.shadows.get(name, [])],
    }
