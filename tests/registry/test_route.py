"""Routes: whatever is done to one, in whatever order, it stays one that can be followed."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from salver.errors import ConfigError, InUse, NotFound
from salver.registry.route import CHAMPION, Canary, Route
from salver.types.reference import Reference

ALIASES = st.sampled_from([CHAMPION, "challenger", "stable"])


class Edits(RuleBasedStateMachine):
    """Random edits, held against the plainest model of them: a list of what each alias was."""

    def __init__(self) -> None:
        super().__init__()
        self.route = Route()
        self.stacks: dict[str, list[int]] = {}
        self.versions: list[int] = []
        self.made = 0

    @rule()
    def publish(self) -> None:
        self.made += 1
        self.versions.append(self.made)
        if not any(self.stacks.values()):
            self.stacks[CHAMPION] = [self.made]
        self.route = self.route.first(self.made)

    @precondition(lambda self: self.versions)
    @rule(alias=ALIASES, data=st.data())
    def promote(self, alias: str, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(self.versions))
        stack = self.stacks.setdefault(alias, [])
        if not stack or stack[-1] != version:
            stack.append(version)
        self.route = self.route.promoted(alias, version)

    @rule(alias=ALIASES)
    def roll_back(self, alias: str) -> None:
        stack = self.stacks.get(alias, [])
        if len(stack) < 2:
            with pytest.raises(NotFound):
                self.route.rolled_back(alias)
            return
        stack.pop()
        self.route = self.route.rolled_back(alias)

    @rule(alias=ALIASES)
    def demote(self, alias: str) -> None:
        if not self.stacks.pop(alias, None):
            with pytest.raises(NotFound):
                self.route.demoted(alias)
            return
        self.route = self.route.demoted(alias)

    @precondition(lambda self: self.versions)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(self.versions))
        if any(stack and stack[-1] == version for stack in self.stacks.values()):
            with pytest.raises(InUse):
                self.route.without(version)
            return
        self.versions.remove(version)
        self.stacks = {alias: [was for was in stack if was != version] for alias, stack in self.stacks.items()}
        self.route = self.route.without(version)
        with pytest.raises(NotFound):
            self.route.promoted("stable", version)

    @precondition(lambda self: self.versions)
    @rule(data=st.data(), value=st.sampled_from(["", "a", "b"]))
    def tag(self, data: st.DataObject, value: str) -> None:
        version = data.draw(st.sampled_from(self.versions))
        self.route = self.route.tagged(version, {"key": value})
        assert self.route.tags.get(version, {}).get("key", "") == value

    @invariant()
    def aliases_are_as_expected(self) -> None:
        assert self.route.aliases == {alias: stack[-1] for alias, stack in self.stacks.items() if stack}

    @invariant()
    def what_is_named_is_there(self) -> None:
        assert set(self.route.aliases.values()) <= set(self.versions)
        assert set(self.route.tags) <= set(self.versions)
        assert {was for versions in self.route.before.values() for was in versions} <= set(self.versions)
        if self.versions:
            assert self.route.version_of(Reference("m"), self.versions) in self.versions

    @invariant()
    def it_is_read_as_it_was_written(self) -> None:
        assert msgspec.json.decode(msgspec.json.encode(self.route), type=Route) == self.route


Edits.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
test_edits = Edits.TestCase


def test_a_reference_finds_its_version() -> None:
    route = Route(aliases={"champion": 2, "challenger": 3})
    versions = [1, 2, 3]
    found = {text: route.version_of(Reference.parse(text), versions) for text in ("m", "m@1", "m@champion", "m@challenger")}
    assert found == {"m": 2, "m@1": 1, "m@champion": 2, "m@challenger": 3}
    for unknown in ("m@4", "m@other"):
        with pytest.raises(NotFound) as raised:
            route.version_of(Reference.parse(unknown), versions)
        assert raised.value.code == "unknown_version"


def test_without_a_champion_the_latest_answers() -> None:
    assert Route().version_of(Reference("m"), [1, 5]) == 5
    assert Route(default="1").version_of(Reference("m"), [1, 5]) == 1


def test_an_alias_is_no_number() -> None:
    with pytest.raises(ConfigError, match="a word"):
        Route().promoted("3", 1)


def test_an_alias_in_use_stays() -> None:
    route = Route(
        aliases={"champion": 1, "challenger": 2, "shadowed": 3}, canaries=(Canary("challenger", 5),), shadows=("shadowed",)
    )
    with pytest.raises(InUse, match="canary"):
        route.demoted("challenger")
    with pytest.raises(InUse, match="shadow"):
        route.demoted("shadowed")
    assert route.uses(1) == ["'champion'", "the default"]
    assert route.uses(2) == ["'challenger'", "a canary"]
    assert route.uses(3) == ["'shadowed'", "a shadow"]


def test_what_was_changed_is_told_in_words() -> None:
    first = Route().first(1)
    second = first.promoted("champion", 2).tagged(2, {"a": "b"})
    assert first.since(Route()) == ["champion – → 1"]
    assert second.since(first) == ["champion 1 → 2", "tags of 2"]
    assert second.without(1).since(second) == ["deleted 1"]
    assert second.with_shadow("2").since(second) == ["shadow 2"]
    assert second.since(second.with_canary("2", 5)) == ["no canary"]


def test_canaries_have_shares_of_one_whole_and_stick_by_one_thing() -> None:
    route = Route(aliases={"champion": 1, "next": 2}).with_canary("next", 5, "key").with_canary("3", 10, "key")
    assert route.canaries == (Canary("next", 5, "key"), Canary("3", 10, "key"))
    assert route.with_canary("2", 20, "key").canaries == (Canary("2", 20, "key"), Canary("3", 10, "key")), "in its place"
    for percent, sticky in ((0, "key"), (95.1, "key"), (-1, "key"), (1, ""), (1, "header:x"), (1, "cookie"), (1, "header:a b")):
        with pytest.raises(ConfigError):
            route.with_canary("4", percent, sticky)
    with pytest.raises(NotFound):
        route.with_canary("stable", 5, "key")
    assert route.without_canary("2").canaries == (Canary("3", 10, "key"),)
    assert route.without_canary().canaries == ()
    with pytest.raises(NotFound):
        route.without_canary("1")


def test_what_is_promoted_to_the_default_has_no_share_and_no_shadow_any_more() -> None:
    route = Route(aliases={"champion": 1, "next": 2}).with_canary("next", 5).with_shadow("2").with_shadow("3")
    assert route.promoted("stable", 2).canaries == route.canaries
    promoted = route.promoted("champion", 2)
    assert (promoted.canaries, promoted.shadows) == ((), ("3",))
    assert promoted.rolled_back().accepted == (1,), "the way back is always open"
    with pytest.raises(NotFound):
        route.without_shadow("4")
    assert route.without_shadow("next").shadows == ("3",)
