"""What the dashboard is told by its server: how models are served, and what was counted. The counts are those of `/metrics`."""

from __future__ import annotations

import time

from salver.artifact.described import how_served
from salver.dashboard.messages import Facts, Lane, Served
from salver.engine.engine import Engine
from salver.server import following
from salver.server.metrics import Metrics

_ROWS, _LATENCY, _ERRORS = "salver_predictions_total", "salver_request_duration_seconds", "salver_errors_total"


def facts(engine: Engine, metrics: Metrics, started_s: float) -> Facts:
    """What is known right now."""
    lanes: dict[tuple[str, str, str], Lane] = {}
    for sample in metrics.merged({_ROWS, _LATENCY, _ERRORS}):
        model, version, route, *code = sample.labels
        lane = lanes.get((model, version, route))
        if lane is None:
            lane = lanes[model, version, route] = Lane(model, int(version), route, 0.0, [], {})
        if sample.metric == _LATENCY:
            lane.latency.extend(sample.counts or ())
        elif sample.metric == _ERRORS:
            lane.errors[code[0]] = sample.value
        else:
            lanes[model, version, route] = Lane(model, int(version), route, sample.value, lane.latency, lane.errors)
    served = [_served(engine, name, state) for name, state in sorted(engine.states.items())]
    return Facts(time.monotonic(), time.time(), started_s, list(lanes.values()), served)


def _served(engine: Engine, name: str, state: str) -> Served:
    versions = engine.lanes.get(name, {})
    followed = following.described(engine, name)
    newest = versions[max(versions)].model.manifest if versions else None
    return Served(
        name,
        state,
        newest.signature.task if newest else "",
        tuple(sorted(versions)),
        followed,
        how_served(newest) if newest and not followed else [],
    )
