"""How long answers took in the last day, as the log has it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from salver.dashboard.charts import Chart, Series
from salver.dashboard.search import MINUTE_US
from salver.dashboard.turn import Turn
from salver.log.duck import quoted
from salver.log.view import Stretch, asked

if TYPE_CHECKING:
    import duckdb

_STEP_US = 15 * MINUTE_US
_DAY_US = 86_400 * 1_000_000
_SAMPLED = 2_000_000


class Latency(NamedTuple):
    """Of one version by one route in a stretch of time: so many rows; half, and 99 of 100, took at most so many µs."""

    version: int
    route: str
    start_us: int
    p50_us: float
    p99_us: float


def latency(log: Path, model: str, now_s: float, turn: Turn) -> list[Latency]:
    """Of the last day, a quarter of an hour each, as the log has it; of many rows, of a part."""
    until_us = int(now_s * 1e6)
    of = Stretch(model, until_us - _DAY_US, until_us + MINUTE_US)

    def ask(connection: duckdb.DuckDBPyConnection) -> list[Latency]:
        connection.execute("set threads = 1")
        with turn.asking(connection):
            at = f"model = {quoted(model)} and ts >= {of.since_us} and latency_us is not null"
            (count,) = connection.execute(f"select count(*) from predictions where {at}").fetchone() or (0,)
            every = max(1, count // _SAMPLED)
            some = f" and (ts // 7) % {every} = 0" if every > 1 else ""
            rows = connection.execute(
                f"select version, route, ts // {_STEP_US} * {_STEP_US} as start, "
                "approx_quantile(latency_us, 0.5), approx_quantile(latency_us, 0.99) "
                f"from predictions where {at}{some} group by all order by start"
            )
            return [Latency(*row) for row in rows.fetchall()]

    return asked(log, ask, only=of)


def chart(found: list[Latency], now_s: float, newest: int) -> Chart:
    """What 99 of 100 requests stay below, by version and route."""
    until_us = int(now_s * 1e6) // _STEP_US * _STEP_US
    starts = range(until_us - _DAY_US, until_us + 1, _STEP_US)
    x = [start / 1e6 for start in starts]
    made = Chart("Latency of the last day, 99 of 100 were faster", x, [], "ms", since=x[0], until=x[-1])
    for version, route in sorted({(one.version, one.route) for one in found}, reverse=True):
        by_start = {one.start_us: one.p99_us / 1000 for one in found if (one.version, one.route) == (version, route)}
        name = f"version {version}" + ("" if route == "live" else f", {route}")
        made.series.append(Series(name, [by_start.get(start) for start in starts], newest - version, dashed=route != "live"))
    return made
