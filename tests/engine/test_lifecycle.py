"""The life of versions, whatever happens in whatever order."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from salver.engine.lifecycle import TRANSITIONS, Event, Lifecycle, Step
from salver.engine.routing import Followed
from salver.registry.route import Route

VERSIONS = st.integers(1, 5)


class Server(RuleBasedStateMachine):
    """Does what it is told, with any outcome, and looks that nothing is told that would hurt."""

    @initialize(
        default=st.booleans(), aliases=st.frozensets(st.sampled_from(["champion", "next"])), pins=st.frozensets(VERSIONS)
    )
    def start(self, default: bool, aliases: frozenset[str], pins: frozenset[int]) -> None:
        self.life = Lifecycle(Followed(default, aliases, pins))
        self.route = Route()
        self.now_s = 0.0
        self.awake: set[int] = set()
        self.under_way: dict[int, str] = {}
        self.refused_at: dict[int, int] = {}
        self.had_default = False

    def do(self, steps: list[Step]) -> None:
        for do, version in steps:
            if do == "abandon":
                assert self.under_way.get(version) == "try", "only what is being tried can be abandoned"
                continue
            assert version not in self.under_way, "one thing at a time is done to a version"
            if do == "try":
                assert version not in self.awake
                assert self.refused_at.get(version) != self.route.number, "nothing has changed since it was refused"
            if do == "drain":
                assert version in self.awake
                assert version not in self.life.routing.versions, "who answers is not drained"
            self.under_way[version] = do

    def edit(self, route: Route) -> None:
        self.route = Route(
            **{name: getattr(route, name) for name in route.__struct_fields__} | {"number": self.route.number + 1}
        )
        self.had_default = False if self.life.followed == Followed() else self.had_default
        self.do(self.life.follow(self.route, 5, self.now_s))

    @rule(alias=st.sampled_from(["champion", "next"]), version=VERSIONS)
    def promote(self, alias: str, version: int) -> None:
        self.edit(self.route.promoted(alias, version))

    @precondition(lambda self: self.route.before.get("champion"))
    @rule()
    def roll_back(self) -> None:
        self.edit(self.route.rolled_back())

    @rule(version=VERSIONS, percent=st.sampled_from([1, 50]))
    def canary(self, version: int, percent: float) -> None:
        self.edit(self.route.without_canary() if self.route.canaries else self.route.with_canary(str(version), percent))

    @rule()
    def look_again(self) -> None:
        self.do(self.life.follow(self.route, 5, self.now_s))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), outcome=st.sampled_from(["well", "well", "failed", "missed"]))
    def finish(self, data: st.DataObject, outcome: str) -> None:
        version = data.draw(st.sampled_from(sorted(self.under_way)))
        did = self.under_way.pop(version)
        event: Event = {"try": "tried", "load": "loaded", "drain": "drained"}[did]  # type: ignore[assignment]
        if did != "drain" and outcome != "well":
            event = outcome  # type: ignore[assignment]
            if outcome == "failed" and version not in self.life.in_state("leaving"):
                self.refused_at[version] = self.route.number
        if event == "loaded":
            self.awake.add(version)
        if event == "drained":
            self.awake.discard(version)
        self.do(self.life.heard(version, event, self.now_s, "why"))

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.do(self.life.tick(self.now_s))

    @invariant()
    def who_answers_is_awake_and_stays(self) -> None:
        if not hasattr(self, "life"):
            return
        assert self.life.routing.versions <= self.awake
        assert not [v for v, did in self.under_way.items() if did == "drain" and v in self.life.routing.versions]
        follows = self.life.followed.has_default(self.route)
        if self.had_default and follows:
            assert self.life.routing.default is not None, "what answered once is never without an answer"
        self.had_default = follows and self.life.routing.default is not None

    def teardown(self) -> None:
        """When all goes well from here on, what is wanted comes about."""
        if not hasattr(self, "life"):
            return
        for _ in range(60):
            self.now_s += 100
            self.do(self.life.tick(self.now_s))
            for version, did in [*self.under_way.items()]:
                del self.under_way[version]
                event: Event = {"try": "tried", "load": "loaded", "drain": "drained"}[did]  # type: ignore[assignment]
                (self.awake.add if did == "load" else self.awake.discard)(version)
                self.do(self.life.heard(version, event, self.now_s))
        assert not self.under_way
        refused = self.life.in_state("refused")
        for alias in self.life.followed.aliases & self.route.aliases.keys():
            target = self.route.aliases[alias]
            assert target in refused or self.life.routing.aliases[alias] == target
        assert self.awake == self.life.in_state("ready")


Server.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestServer = Server.TestCase


def test_every_state_is_left_and_entered() -> None:
    states = {state for state, _ in TRANSITIONS} | {state for state, _ in TRANSITIONS.values()}
    for state in states:
        assert any(before == state for before, _ in TRANSITIONS), f"{state} is never left"
        assert any(after == state for after, _ in TRANSITIONS.values()), f"{state} is never entered"


def test_what_failed_for_a_passing_reason_is_tried_again_after_longer_and_longer() -> None:
    life = Lifecycle(Followed(default=True))
    assert life.follow(Route(1, {"champion": 1}), 1, 0.0) == [("try", 1)]
    now_s = 0.0
    for wait_s in (1, 2, 4, 8, 16, 32, 60, 60):
        assert life.heard(1, "missed", now_s, "the store is away") == []
        assert life.tick(now_s + wait_s - 0.1) == []
        now_s += wait_s
        assert life.tick(now_s) == [("try", 1)]


def test_why_a_version_was_refused_is_kept_until_something_changes() -> None:
    life = Lifecycle(Followed(default=True))
    life.adopt(1)
    life.follow(Route(1, {"champion": 1}), 1, 0.0)
    assert life.follow(Route(2, {"champion": 2}, before={"champion": (1,)}), 2, 0.0) == [("try", 2)]
    assert life.heard(2, "failed", 0.0, "it crashed") == []
    assert (life.versions[2].state, life.versions[2].why, life.routing.default) == ("refused", "it crashed", 1)
    assert life.follow(life.route, 2, 100.0) == []
    assert life.heard(2, "changed", 100.0) == [("try", 2)]
