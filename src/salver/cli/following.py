"""What `salver serve` follows: the routes of the models that it was asked for by name, or of all that there are."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from salver.engine.follower import Follower
from salver.engine.routing import Followed

if TYPE_CHECKING:
    from salver.artifact.trust import Policy
    from salver.cli.wanted import Wanted
    from salver.engine.engine import Engine
    from salver.registry.registry import Registry
    from salver.server.run import Server
    from salver.types.reference import Reference


async def begin(
    given: argparse.Namespace, engine: Engine, registry: Registry, policy: Policy, log: Path | None, wanted: list[Wanted]
) -> Follower:
    """A follower that begins with what the engine has loaded; from here on, routes say who answers."""
    references: dict[str, list[Reference]] = {}
    for model in wanted:
        if model.reference is not None:
            references.setdefault(model.name, []).append(model.reference)
    followed = {name: Followed.of(listed) for name, listed in references.items()}
    follower = Follower(engine, registry, policy, log, followed if given.models else None, given.watch)
    for name in followed:
        await follower.adopt(name, followed[name])
    return follower


def go_on(server: Server, follower: Follower) -> None:
    """Follow beside serving, where that was not declined and there is anything to follow."""
    if follower.every_s > 0 and follower.follows:
        server.also(follower.run())
