"""The first page: every model, what is wrong first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from salver.dashboard.charts import spark
from salver.dashboard.health import STATES, Health, health, main_track, moved
from salver.dashboard.known import HOUR_US, SLICE_US, Known
from salver.dashboard.live import Live, Pace
from salver.dashboard.messages import Served
from salver.monitors.estimate import Estimate

HOURS = 24


class Role(NamedTuple):
    """What a version is: "champion", "canary" with its share, "shadow"."""

    name: str
    version: int
    percent: float | None = None


class Row(NamedTuple):
    """A model in the list. `hours` are its predictions of the last day, hour by hour."""

    name: str
    task: str
    health: Health
    roles: list[Role]
    pace: Pace | None
    hours: list[int]
    points: str
    realised: Estimate | None
    coverage: float | None
    estimated: Estimate | None
    measure: str
    expected: Estimate | None
    moved: list[str]


class Totals(NamedTuple):
    """All models together."""

    models: int
    fine: int
    wrong: int
    unknown: int
    pace: Pace | None
    day: int


def rows(known: Known, live: Live, served: Iterable[Served], now_s: float) -> list[Row]:
    """What is wrong first, then by name."""
    until_us = int(now_s * 1e6) // SLICE_US * SLICE_US
    hours = known.hours(until_us - HOURS * HOUR_US, HOURS)
    made = [_row(known, live, one, hours.get(one.name, [0] * HOURS)) for one in served]
    return sorted(made, key=lambda row: (STATES.index(row.health.state), row.name.casefold()))


def totals(live: Live, found: list[Row]) -> Totals:
    """What stands above the list."""
    states = [row.health.state for row in found]
    keys = [key for row in found for key in live.keys(row.name)]
    return Totals(
        len(found),
        states.count("fine"),
        sum(state in ("down", "alert", "warn") for state in states),
        states.count("unknown"),
        live.pace(keys),
        sum(sum(row.hours) for row in found),
    )


def roles(served: Served) -> list[Role]:
    """Who answers. A model out of a file has one version and no route."""
    routing = served.followed.get("routing")
    if not routing:
        return [Role("serving", version) for version in served.versions[-1:]]
    made: list[Role] = []
    default = routing["default"]
    if default is not None:
        made.append(Role("champion", default))
    made += [Role("canary", share["version"], share["percent"]) for share in routing["canaries"]]
    made += [Role("shadow", version) for version in routing["shadows"]]
    taken = {role.version for role in made}
    made += [Role(alias, version) for alias, version in routing["aliases"].items() if version not in taken]
    return made


def answering(served: Served) -> list[int]:
    """The versions that take requests, and those that are asked as shadows."""
    return [role.version for role in roles(served)]


def _row(known: Known, live: Live, served: Served, hours: list[int]) -> Row:
    every, in_force = known.briefly(served.name), roles(served)
    version = in_force[0].version if in_force else None
    main = main_track(every, version)
    measured = known.measured(served.name)
    group = next((of for of in measured[0].groups if of.of.get("version") == str(version)), None) if measured else None
    measure = main.measure if main else ""
    if not measure and group is not None:
        measure = next((name for name in ("accuracy", "exact_match", "mae") if name in group.metrics), "")
    return Row(
        served.name,
        served.task,
        health(served.state, every, answering(served)),
        in_force,
        live.pace(key for key in live.keys(served.name) if key[2] != "shadow"),
        hours,
        spark(hours),
        group.metrics.get(measure) if group else None,
        group.coverage if group else None,
        main.windows[-1].estimated.get(measure) if main and main.windows else None,
        measure,
        main.expected if main else None,
        list(dict.fromkeys(one.column for kind in ("drift", "score") for one in moved(main) if one.kind == kind)),
    )
