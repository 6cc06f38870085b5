"""Which version answers. Pure: a route, what is ready, and what answered before come in, and who answers comes out.

A name goes over to another version only when that version is ready. Until then, and when it never is, whoever answered goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from salver.registry.route import Route
from salver.types.reference import Reference

_POINTS = 2**64


class Followed(msgspec.Struct, frozen=True):
    """What of a model is served: `iris` follows its default, `iris@stable` an alias; `iris@3` is that version for good."""

    default: bool = False
    aliases: frozenset[str] = frozenset()
    versions: frozenset[int] = frozenset()

    @classmethod
    def of(cls, references: Iterable[Reference]) -> Followed:
        """What references to one model ask for."""
        listed = list(references)
        return cls(
            any(one.version is None and one.alias is None for one in listed),
            frozenset(one.alias for one in listed if one.alias is not None),
            frozenset(one.version for one in listed if one.version is not None),
        )

    def has_default(self, route: Route) -> bool:
        """Whether the model's bare name goes where its route says: canaries and shadows are then in force too."""
        return self.default or route.default in self.aliases


class Share(NamedTuple):
    """A version that answers a part of the default's requests."""

    version: int
    percent: float


class Routing(msgspec.Struct, frozen=True):
    """Who answers for a model here and now. Every version in it is ready, but for shadows, which live elsewhere."""

    default: int | None = None
    aliases: dict[str, int] = {}
    shares: tuple[Share, ...] = ()
    sticky: str = ""
    shadows: tuple[int, ...] = ()

    @property
    def versions(self) -> set[int]:
        """All that may have to answer."""
        named = {*self.aliases.values(), *(share.version for share in self.shares)}
        return named if self.default is None else named | {self.default}

    def share_at(self, point: float) -> int | None:
        """The canary that answers a request at `point`, from 0 to 100; None where the default does."""
        for version, percent in self.shares:
            if point < percent:
                return version
            point -= percent
        return None


def point_of(model: str, value: str) -> float:
    """Where a sticky value stands, from 0 to 100: the same on every worker, server and day, and another for each model."""
    digest = blake2b(f"{model}\0{value}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) / _POINTS * 100


class Goal(NamedTuple):
    """What a route comes to: who answers now, and which versions are to be awake for that to become what is wanted."""

    routing: Routing
    needed: set[int]


def settle(
    route: Route,
    followed: Followed,
    latest: int | None,
    ready: Collection[int],
    refused: Collection[int],
    before: Routing,
) -> Goal:
    """Who answers, given what is ready. `latest` is the highest version there is; it answers where no alias is the default.

    A name whose version is refused goes on with the one it had here; after a restart, with the one that it had before.
    """
    settling = _Settling(route, ready, refused, followed.versions)
    aliases = settling.aliases(followed, before)
    if not followed.has_default(route):
        mine = [one for one in (*followed.versions, *(aliases.get(alias, 0) for alias in followed.aliases)) if one in ready]
        return Goal(Routing(max(mine, default=None), aliases), settling.needed)
    target = route.named(route.default) or latest
    default = settling.answers(target, before.default, route.before.get(route.default, ()))
    shares = settling.shares(default)
    sticky = route.canaries[0].sticky if shares else ""
    shadows = [route.named(to) for to in route.shadows]
    return Goal(Routing(default, aliases, shares, sticky, tuple(one for one in shadows if one is not None)), settling.needed)


class _Settling:
    """Finds who answers to each name, and gathers which versions are needed for it."""

    def __init__(self, route: Route, ready: Collection[int], refused: Collection[int], pinned: Collection[int]) -> None:
        self._route, self._ready, self._refused = route, ready, refused
        self.needed = {version for version in pinned if version not in route.deleted}

    def answers(self, target: int | None, had: int | None, earlier: tuple[int, ...] = ()) -> int | None:
        """Who answers to a name that is to be `target`, was `had` here, and in the route before that each of `earlier`."""
        if target is not None and target not in self._refused:
            self.needed.add(target)
        found = next((one for one in (target, had) if one in self._ready), None)
        if found is None and (target is None or target in self._refused):
            left = [one for one in reversed(earlier) if one not in self._refused and one not in self._route.deleted]
            found = next((one for one in left if one in self._ready), None)
            self.needed.update(left[:1] if found is None else ())
        if found is not None:
            self.needed.add(found)
        return found

    def aliases(self, followed: Followed, before: Routing) -> dict[str, int]:
        """The followed aliases and the default one; others as far as their versions are there for another reason."""
        found: dict[str, int] = {}
        for alias, target in self._route.aliases.items():
            if alias in followed.aliases or (followed.default and alias == self._route.default):
                answers = self.answers(target, before.aliases.get(alias), self._route.before.get(alias, ()))
            else:
                answers = target if target in self._ready else None
            if answers is not None:
                found[alias] = answers
        return found

    def shares(self, default: int | None) -> tuple[Share, ...]:
        """While a canary is not ready its share is the default's; the places of the others stay as they are."""
        versions = [(self._route.named(canary.to), canary.percent) for canary in self._route.canaries]
        self.needed.update(version for version, _ in versions if version is not None and version not in self._refused)
        if default is None or not any(version in self._ready and version != default for version, _ in versions):
            return ()
        return tuple(
            Share(version if version is not None and version in self._ready else default, percent)
            for version, percent in versions
        )
