"""Who answers, by the route and by what is ready."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from salver.engine.routing import Followed, Routing, Share, point_of, settle
from salver.registry.route import Route
from salver.types.reference import Reference

BARE = Followed(default=True)


def test_a_name_goes_over_when_its_version_is_ready_and_not_before() -> None:
    route = Route(aliases={"champion": 2}, before={"champion": (1,)})
    before = Routing(1, {"champion": 1})
    assert settle(route, BARE, 2, {1}, (), before) == (before, {1, 2})
    assert settle(route, BARE, 2, {1, 2}, (), before) == (Routing(2, {"champion": 2}), {2})
    assert settle(route, BARE, 2, {1}, {2}, before) == (before, {1}), "refused: who answered goes on"


def test_after_a_restart_a_refused_version_leaves_the_one_before_it() -> None:
    route = Route(aliases={"champion": 3}, before={"champion": (1, 2)})
    assert settle(route, BARE, 3, (), {3}, Routing()).needed == {2}
    assert settle(route, BARE, 3, (), {2, 3}, Routing()).needed == {1}
    assert settle(route, BARE, 3, {1}, {2, 3}, Routing()).routing.default == 1
    assert settle(route, BARE, 3, (), {1, 2, 3}, Routing()).needed == set()


def test_the_latest_answers_where_no_alias_is_the_default() -> None:
    assert settle(Route(), BARE, 4, {4}, (), Routing()).routing.default == 4


def test_pinned_versions_and_aliases_stand_beside_the_default() -> None:
    followed = Followed.of([Reference("a"), Reference("a", version=1), Reference("a", alias="old")])
    route = Route(aliases={"champion": 3, "old": 2, "other": 1})
    goal = settle(route, followed, 3, {1, 2, 3}, (), Routing())
    assert goal == (Routing(3, {"champion": 3, "old": 2, "other": 1}), {1, 2, 3})
    moved = settle(Route(aliases={"champion": 4}), followed, 4, {1, 2, 3}, (), goal.routing)
    assert moved == (Routing(3, {"champion": 3}), {1, 3, 4}), "an alias that was taken away is gone"


def test_a_server_of_pinned_versions_knows_no_canary() -> None:
    route = Route(aliases={"champion": 3}).with_canary("2", 50).with_shadow("2")
    goal = settle(route, Followed.of([Reference("a", version=1), Reference("a", alias="x")]), 3, {1}, (), Routing())
    assert goal == (Routing(1), {1})
    by_alias = settle(route, Followed.of([Reference("a", alias="champion")]), 3, {2, 3}, (), Routing())
    assert by_alias.routing == Routing(3, {"champion": 3}, (Share(2, 50),), "", (2,))


def test_a_canary_that_is_not_ready_leaves_its_share_to_the_default() -> None:
    route = Route(aliases={"champion": 1}).with_canary("2", 10, "key").with_canary("3", 20, "key")
    assert settle(route, BARE, 3, {1}, (), Routing()) == (Routing(1, {"champion": 1}), {1, 2, 3})
    one = settle(route, BARE, 3, {1, 3}, {2}, Routing())
    assert one == (Routing(1, {"champion": 1}, (Share(1, 10), Share(3, 20)), "key"), {1, 3})
    assert [one.routing.share_at(point) for point in (0, 9.99, 10, 29.99, 30, 99)] == [1, 1, 3, 3, None, None]


@given(st.text(), st.floats(0.1, 50), st.floats(0, 50))
def test_a_sticky_value_stays_where_it_is_when_its_canary_grows(value: str, percent: float, more: float) -> None:
    point = point_of("iris", value)
    assert 0 <= point < 100
    if Routing(1, shares=(Share(2, percent),)).share_at(point) == 2:
        assert Routing(1, shares=(Share(2, percent + more),)).share_at(point) == 2


def test_sticky_values_are_spread_evenly_and_otherwise_for_each_model() -> None:
    points = [point_of("iris", f"user-{i}") for i in range(20_000)]
    for low in range(0, 100, 5):
        inside = sum(low <= point < low + 5 for point in points)
        assert abs(inside - 1000) < 5 * (20_000 * 0.05 * 0.95) ** 0.5
    assert sum(point_of("wine", f"user-{i}") < 5 for i in range(20_000) if points[i] < 5) < 100
