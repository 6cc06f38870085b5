"""The one document of a model that changes: which version answers to which name. Pure; registry.py keeps it.

Every edit makes a new Route out of an old one, so it can be made again when somebody else's came first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from salver.errors import ConfigError, InUse, NotFound
from salver.types.reference import Reference

CHAMPION = "champion"
_REMEMBERED = 50  # versions that an alias had before
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # a token of HTTP
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Canary(msgspec.Struct, frozen=True):
    """A share of the default's requests that another version answers: `to` is its number, or an alias.

    `sticky` says what keeps a caller with the same version: `header:NAME`, `field:COLUMN` or `key`; empty is chance.
    """

    to: str
    percent: float
    sticky: str = ""


class Route(msgspec.Struct, frozen=True):
    """Who answers for a model, and who said so, when and why. `number` counts the edits; 0 is the route of no edit at all."""

    number: int = 0
    aliases: dict[str, int] = {}
    default: str = CHAMPION
    canaries: tuple[Canary, ...] = ()
    """One, or several for A/B. What they do not answer is the default's."""
    shadows: tuple[str, ...] = ()
    """Numbers or aliases that are asked what the default is asked, without being answered from."""
    tags: dict[int, dict[str, str]] = {}
    before: dict[str, tuple[int, ...]] = {}
    """The versions that an alias had, latest last, as far as it was not rolled back: where a rollback leads."""
    deleted: tuple[int, ...] = ()
    """Numbers that are no versions any more and never will be again."""
    accepted: tuple[int, ...] = ()
    """Versions that may take over although they take other columns, or give other outputs, than those before them."""
    by: str = ""
    at: str = ""  # UTC, ISO 8601
    why: str = ""

    def promoted(self, alias: str, version: int) -> Route:
        """`alias` is `version`, and remembers what it was. Raises ConfigError for no alias, NotFound for a deleted version."""
        if Reference.parse(f"x@{alias}").alias is None:
            raise ConfigError("an alias is a word, not a number: champion, challenger, stable")
        self._check(version)
        current = self.aliases.get(alias)
        if current == version:
            return self
        remembered = self.before.get(alias, ()) if current is None else (*self.before.get(alias, ()), current)
        promoted = msgspec.structs.replace(
            self,
            aliases={**self.aliases, alias: version},
            before={**self.before, alias: remembered[-_REMEMBERED:]} if remembered else self.before,
        )
        if alias != self.default:
            return promoted
        # It answers all now: a share of its own, and being compared with itself, have ended.
        return msgspec.structs.replace(
            promoted,
            canaries=tuple(canary for canary in self.canaries if promoted.named(canary.to) != version),
            shadows=tuple(to for to in self.shadows if promoted.named(to) != version),
        )

    def first(self, version: int) -> Route:
        """Where no alias says otherwise, what is published answers at once."""
        return self if self.aliases or version in self.deleted else self.promoted(CHAMPION, version)

    def rolled_back(self, alias: str = CHAMPION) -> Route:
        """`alias` is what it was before it was promoted to what it is. Raises NotFound when it was nothing before."""
        *earlier, last = self.before.get(alias) or (0,)
        if not last:
            raise NotFound(
                f"alias '{alias}' had no version before this one; `salver promote` takes any", code="unknown_version"
            )
        before = {name: versions for name, versions in self.before.items() if name != alias}
        if earlier:
            before[alias] = tuple(earlier)
        back = msgspec.structs.replace(self, aliases={**self.aliases, alias: last}, before=before)
        return back.accepting(last)  # it has answered before: whatever its columns, this is the way back

    def demoted(self, alias: str) -> Route:
        """No version is called `alias` any more. Raises NotFound when none is, InUse when canary or shadow go there."""
        if alias not in self.aliases:
            raise self._unknown(alias)
        if alias in self.shadows or any(canary.to == alias for canary in self.canaries):
            raise InUse(f"alias '{alias}' is in use by {'shadow' if alias in self.shadows else 'canary'}; end that first")
        return msgspec.structs.replace(self, aliases=_without(self.aliases, alias), before=_without(self.before, alias))

    def with_canary(self, to: str, percent: float, sticky: str = "") -> Route:
        """`to` answers that share of the default's requests. Raises ConfigError for shares or a `sticky` that make no sense."""
        self._require(to)
        require_sticky(sticky)
        others = [canary for canary in self.canaries if self.named(canary.to) != self.named(to)]
        if any(canary.sticky != sticky for canary in others):
            raise ConfigError("all canaries of a model are chosen by the same thing; give the same sticky, or end the others")
        if not 0 < percent <= 100 or sum(canary.percent for canary in others) + percent > 100:
            raise ConfigError("a canary's share is above 0 %, and all of them together are at most 100 %; --end ends one")
        # In place, so that nobody changes sides when the last one grows.
        made = [Canary(to, percent, sticky) if self.named(canary.to) == self.named(to) else canary for canary in self.canaries]
        if len(others) == len(self.canaries):
            made.append(Canary(to, percent, sticky))
        return msgspec.structs.replace(self, canaries=tuple(made))

    def without_canary(self, to: str = "") -> Route:
        """`to` answers no share any more; without it, no canary does. Raises NotFound when there is none."""
        kept = tuple(canary for canary in self.canaries if to and self.named(canary.to) != self.named(to))
        if len(kept) == len(self.canaries):
            raise NotFound("there is no such canary; `salver show` tells which there are", code="unknown_version")
        return msgspec.structs.replace(self, canaries=kept)

    def with_shadow(self, to: str) -> Route:
        """`to` is asked what the default is asked. Raises NotFound."""
        self._require(to)
        others = tuple(shadow for shadow in self.shadows if self.named(shadow) != self.named(to))
        return self if to in self.shadows else msgspec.structs.replace(self, shadows=(*others, to))

    def without_shadow(self, to: str = "") -> Route:
        """`to` is asked no more; without it, no shadow is. Raises NotFound when there is none."""
        kept = tuple(shadow for shadow in self.shadows if to and self.named(shadow) != self.named(to))
        if len(kept) == len(self.shadows):
            raise NotFound("there is no such shadow; `salver show` tells which there are", code="unknown_version")
        return msgspec.structs.replace(self, shadows=kept)

    def accepting(self, version: int) -> Route:
        """`version` may take over with whatever columns it takes."""
        return self if version in self.accepted else msgspec.structs.replace(self, accepted=(*self.accepted, version))

    def named(self, which: str) -> int | None:
        """The version that a number or an alias means; None when there is no such alias."""
        return int(which) if which.isdecimal() else self.aliases.get(which)

    def tagged(self, version: int, tags: Mapping[str, str]) -> Route:
        """`version` carries these tags too; an empty value takes a tag away. Raises NotFound for a deleted version."""
        self._check(version)
        kept = {key: value for key, value in {**self.tags.get(version, {}), **tags}.items() if value}
        every = {**_without(self.tags, version), version: kept} if kept else _without(self.tags, version)
        return msgspec.structs.replace(self, tags=every)

    def without(self, version: int) -> Route:
        """`version` is deleted, for ever. Raises InUse when the route needs it."""
        uses = self.uses(version)
        if uses:
            raise InUse(f"version {version} is {', '.join(uses)}; promote another version or demote the alias first")
        if version in self.deleted:
            return self
        before = {alias: tuple(was for was in versions if was != version) for alias, versions in self.before.items()}
        return msgspec.structs.replace(
            self,
            before={alias: versions for alias, versions in before.items() if versions},
            tags=_without(self.tags, version),
            deleted=tuple(sorted((*self.deleted, version))),
        )

    def restored(self, version: int) -> Route:
        """`version` is not deleted after all."""
        return msgspec.structs.replace(self, deleted=tuple(number for number in self.deleted if number != version))

    def uses(self, version: int) -> list[str]:
        """What the route calls `version`: its aliases, the default, canary, shadow."""
        named = [alias for alias, of in self.aliases.items() if of == version]
        uses = [f"'{alias}'" for alias in named]
        if self.default in (str(version), *named):
            uses.append("the default")
        if any(canary.to in (str(version), *named) for canary in self.canaries):
            uses.append("a canary")
        if {str(version), *named} & {*self.shadows}:
            uses.append("a shadow")
        return uses

    def since(self, earlier: Route) -> list[str]:
        """What was changed to make this route of `earlier`, in words."""
        names = sorted({**earlier.aliases, **self.aliases})
        told = [
            f"{name} {earlier.aliases.get(name, '–')} → {self.aliases.get(name, '–')}"
            for name in names
            if earlier.aliases.get(name) != self.aliases.get(name)
        ]
        versions = sorted({*earlier.tags, *self.tags} - {*self.deleted})
        told += [f"tags of {at}" for at in versions if earlier.tags.get(at) != self.tags.get(at)]
        told += [f"deleted {at}" for at in self.deleted if at not in earlier.deleted]
        told += [f"restored {at}" for at in earlier.deleted if at not in self.deleted]
        if self.default != earlier.default:
            told.append(f"default {earlier.default} → {self.default}")
        if self.canaries != earlier.canaries:
            told.append(", ".join(f"canary {canary.to} {canary.percent:g} %" for canary in self.canaries) or "no canary")
        if self.shadows != earlier.shadows:
            told.append(", ".join(f"shadow {to}" for to in self.shadows) or "no shadow")
        return told

    def aliases_of(self, version: int) -> list[str]:
        return sorted(alias for alias, of in self.aliases.items() if of == version)

    def version_of(self, reference: Reference, versions: list[int]) -> int:
        """Which of the `versions` that there are `reference` means. Raises NotFound."""
        if reference.version is not None:
            if reference.version in versions:
                return reference.version
            raise NotFound(f"model '{reference.name}' has no version {reference.version}", code="unknown_version")
        if reference.alias is not None:
            if reference.alias in self.aliases:
                return self.aliases[reference.alias]
            raise self._unknown(reference.alias)
        chosen = self.named(self.default)
        if chosen in versions:
            return chosen
        if versions:
            return max(versions)
        raise NotFound(f"model '{reference.name}' has no version", code="unknown_version")

    def _require(self, to: str) -> None:
        version = self.named(to)
        if version is None:
            raise self._unknown(to)
        self._check(version)

    def _check(self, version: int) -> None:
        if version in self.deleted:
            raise NotFound(f"version {version} was deleted", code="unknown_version")

    def _unknown(self, alias: str) -> NotFound:
        known = ", ".join(sorted(self.aliases)) or "none"
        return NotFound(f"there is no alias '{alias}' (there are: {known})", code="unknown_version")


def require_sticky(sticky: str) -> None:
    """Raises ConfigError when `sticky` names nothing that a caller could stick by."""
    if sticky in ("", "key"):
        return
    kind, _, name = sticky.partition(":")
    if not (kind == "field" and name) and not (kind == "header" and _HEADER.fullmatch(name)):
        raise ConfigError("a canary sticks by header:NAME, field:COLUMN or key")


def _without(mapping: Mapping[_Key, _Value], key: _Key) -> dict[_Key, _Value]:
    return {at: value for at, value in mapping.items() if at != key}
