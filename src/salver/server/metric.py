"""Every metric: what it is called, what it says and where it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from salver.engine.engine import Engine
from salver.engine.lane import Lane
from salver.engine.stats import ROWS, SECONDS, Histogram
from salver.log.writer import Writer
from salver.server.access import Gate
from salver.server.guarded import Guard
from salver.server.samples import Merge
from salver.server.watched import WATCHED, alarms, drift, estimated, needed
from salver.server.workers import Worker

if TYPE_CHECKING:
    from salver.engine.shadow import Shadow
    from salver.monitors.accuracy import Accuracy

Samples = Iterable[tuple[tuple[str, ...], float | Histogram]]
"""Values by the labels they carry."""


class Seen(NamedTuple):
    """What samples are read from: of one process."""

    engine: Engine
    log: Writer | None
    gate: Gate
    guard: Guard
    worker: Worker | None


Read = Callable[[Seen], Samples]
MODEL = ("model", "version")
LANE = (*MODEL, "route")


class Metric(NamedTuple):
    """One metric: what it is called, what it says, and where its samples are read."""

    name: str
    kind: Literal["histogram", "counter", "gauge"]
    help: str
    labels: tuple[str, ...]
    read: Read
    merge: Merge = "sum"  # what the values of many workers make
    bounds: Sequence[float] = ()  # of a histogram's buckets


def _of_lanes(read: Callable[[Lane], float | Histogram]) -> Read:
    """One sample for each version of each model and each route by which it is asked."""
    return lambda seen: [((*_labels(lane), lane.route), read(lane)) for lane in _lanes(seen.engine)]


def _of_log(read: Callable[[Writer], float]) -> Read:
    """One sample where there is a log."""
    return lambda seen: [] if seen.log is None else [((), read(seen.log))]


def _watched(read: Callable[[Writer | None], Samples]) -> Read:
    """What the monitor found."""
    return lambda seen: read(seen.log)


def _errors(seen: Seen) -> Samples:
    # A copy, since bodies are decoded in threads too.
    return [
        ((*_labels(lane), lane.route, code), count)
        for lane in _lanes(seen.engine)
        for code, count in list(lane.stats.errors.items())
    ]


def _ready(seen: Seen) -> Samples:
    return [((name,), float(state == "ready")) for name, state in seen.engine.states.items()]


def _shadow_rows(seen: Seen) -> Samples:
    return [
        ((shadow.name, str(shadow.version), outcome), float(count))
        for shadow in _shadows(seen.engine)
        for outcome, count in (
            ("equal", shadow.total.equal),
            ("different", shadow.total.different),
            ("failed", shadow.total.failed),
            ("dropped", shadow.dropped),
        )
    ]


def _shadow_difference(seen: Seen) -> Samples:
    return [((shadow.name, str(shadow.version)), shadow.total.difference_sum) for shadow in _shadows(seen.engine)]


def _shadows(engine: Engine) -> list[Shadow]:
    return [shadow for shadows in engine.shadows.values() for shadow in shadows]


def _routes(seen: Seen) -> Samples:
    return [((name,), float(life.route.number)) for name, life in seen.engine.lifecycles.items()]


def _refusals(seen: Seen) -> Samples:
    return [((name,), float(seen.engine.refusals[name])) for name in seen.engine.lifecycles]


def _door(seen: Seen) -> Samples:
    counts = seen.gate.refusals + seen.guard.refusals
    return [((code,), float(count)) for code, count in counts.items()]


def _connections(seen: Seen) -> Samples:
    return [((), float(seen.guard.addresses.total()))]


def _restarts(seen: Seen) -> Samples:
    return [] if seen.worker is None else [((), float(seen.worker.is_another))]


def _info(seen: Seen) -> Samples:
    manifests = [(lane, lane.model.manifest) for lane in _lanes(seen.engine) if lane.route == "live"]
    return [((*_labels(lane), made.framework.name, made.runtime.kind), 1.0) for lane, made in manifests]


def _accuracy(seen: Seen) -> Samples:
    return [
        ((found.model, str(group.of["version"]), name), metric.value)
        for found in _measured(seen.log)
        for group in found.groups
        for name, metric in group.metrics.items()
    ]


def _coverage(seen: Seen) -> Samples:
    return [((of.model, str(group.of["version"])), group.coverage) for of in _measured(seen.log) for group in of.groups]


def _measured(log: Writer | None) -> list[Accuracy]:
    from salver.monitors.measured import read_measured

    return [] if log is None else read_measured(log.folder)


def _lanes(engine: Engine) -> list[Lane]:
    return [each for versions in engine.lanes.values() for lane in versions.values() for each in (lane, *lane.others.values())]


def _labels(lane: Lane) -> tuple[str, str]:
    return lane.model.name, str(lane.model.version)


METRICS = (
    Metric(
        "salver_request_duration_seconds",
        "histogram",
        "Time from a request's arrival to its answer.",
        LANE,
        _of_lanes(lambda lane: lane.stats.latency_s),
        bounds=SECONDS,
    ),
    Metric(
        "salver_queue_duration_seconds",
        "histogram",
        "Time a batch waited, from the arrival of its first request to its start.",
        LANE,
        _of_lanes(lambda lane: lane.stats.queue_s),
        bounds=SECONDS,
    ),
    Metric(
        "salver_predict_duration_seconds",
        "histogram",
        "Time the model took for a batch.",
        LANE,
        _of_lanes(lambda lane: lane.stats.predict_s),
        bounds=SECONDS,
    ),
    Metric(
        "salver_batch_rows", "histogram", "Rows in a batch.", LANE, _of_lanes(lambda lane: lane.stats.batch_rows), bounds=ROWS
    ),
    Metric("salver_predictions_total", "counter", "Rows answered.", LANE, _of_lanes(lambda lane: lane.stats.rows)),
    Metric("salver_errors_total", "counter", "Requests answered with an error, by its code.", (*LANE, "code"), _errors),
    Metric(
        "salver_requests_abandoned_total",
        "counter",
        "Requests whose client left before their turn; their rows were not predicted.",
        LANE,
        _of_lanes(lambda lane: lane.stats.gone),
    ),
    Metric("salver_queue_rows", "gauge", "Rows that wait right now.", LANE, _of_lanes(lambda lane: lane.batcher.rows)),
    Metric(
        "salver_refusals_total",
        "counter",
        "Requests and connections that were refused before any model was asked: no key, too fast, too slow, too large a head.",
        ("code",),
        _door,
    ),
    Metric("salver_connections", "gauge", "Connections that are open.", (), _connections),
    Metric(
        "salver_worker_restarts_total",
        "counter",
        "Workers that ended or hung, and had another put in their place. Absent with a single process.",
        (),
        _restarts,
    ),
    Metric(
        "salver_model_ready",
        "gauge",
        "1 when the model takes requests, 0 while it loads or when it failed.",
        ("model",),
        _ready,
        "min",
    ),
    Metric("salver_route_number", "gauge", "The number of the route that is in force here.", ("model",), _routes, "min"),
    Metric(
        "salver_versions_refused_total",
        "counter",
        "Versions that were to be served and failed a step on the way; they take no request.",
        ("model",),
        _refusals,
    ),
    Metric(
        "salver_shadow_rows_total",
        "counter",
        "Rows that a shadow was to answer: as the version in force did, otherwise, not at all, or dropped for want of room.",
        (*MODEL, "outcome"),
        _shadow_rows,
    ),
    Metric(
        "salver_shadow_difference_total",
        "counter",
        "The sum, over a shadow's rows, of how far its numbers or probabilities are from those of the version in force.",
        MODEL,
        _shadow_difference,
    ),
    Metric(
        "salver_model_info",
        "gauge",
        "1, with what serves the model in its labels.",
        (*MODEL, "framework", "runtime"),
        _info,
        "max",
    ),
    Metric(
        "salver_log_bytes_total", "counter", "Bytes written to the prediction log.", (), _of_log(lambda log: log.bytes_written)
    ),
    Metric(
        "salver_log_failures_total",
        "counter",
        "Writes to the prediction log that failed.",
        (),
        _of_log(lambda log: log.failures),
    ),
    Metric(
        "salver_log_dropped_lines_total",
        "counter",
        "Predictions that were answered and not logged, since the log could not be written.",
        (),
        _of_log(lambda log: log.lines_dropped),
    ),
    Metric("salver_log_queued_bytes", "gauge", "Bytes that wait to be written.", (), _of_log(lambda log: log.queued_bytes)),
    Metric(
        "salver_log_lag_seconds",
        "gauge",
        "For how long the oldest line that is not yet written has waited for the disk.",
        (),
        _of_log(lambda log: log.lag_s),
        "max",
    ),
    Metric(
        "salver_log_healthy",
        "gauge",
        "1 while the log can be written, 0 since it could not.",
        (),
        _of_log(lambda log: float(log.healthy)),
        "min",
    ),
    Metric(
        "salver_accuracy",
        "gauge",
        "How accurate the last seven days' predictions are by their labels, every ten minutes.",
        (*MODEL, "metric"),
        _accuracy,
        "here",
    ),
    Metric(
        "salver_label_coverage",
        "gauge",
        "The share of the last seven days' predictions that have labels.",
        MODEL,
        _coverage,
        "here",
    ),
    Metric(
        "salver_drift",
        "gauge",
        "How far the last window is from the reference: PSI beyond chance, of inputs (drift) and answers (score).",
        (*WATCHED, "kind", "column"),
        _watched(drift),
        "here",
    ),
    Metric("salver_alarms", "gauge", "Alarms that last, by their level.", (*WATCHED, "level"), _watched(alarms), "here"),
    Metric(
        "salver_estimated_accuracy",
        "gauge",
        "What labels would say of the last window, estimated without any: accuracy, or mae and rmse.",
        (*WATCHED, "metric"),
        _watched(estimated),
        "here",
    ),
    Metric(
        "salver_window_rows_needed",
        "gauge",
        "Rows that the growing window lacks before it is judged.",
        WATCHED,
        _watched(needed),
        "here",
    ),
)
"""Every metric of ours. docs/metrics.md has the same table; a test compares them."""
