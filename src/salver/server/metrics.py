"""GET /metrics: what the engine counted, in Prometheus' text format. Everything is read at the scrape, nothing is kept here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import TYPE_CHECKING, Literal, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from salver.engine.engine import Engine
from salver.engine.lane import Lane
from salver.engine.shadow import Shadow
from salver.engine.stats import Histogram
from salver.log.writer import Writer

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric as Family

    from salver.monitors.accuracy import Accuracy

Samples = Iterable[tuple[tuple[str, ...], float | Histogram]]
"""Values by the labels they carry."""

Read = Callable[[Engine, Writer | None], Samples]
MODEL = ("model", "version")
LANE = (*MODEL, "route")


class Metric(NamedTuple):
    """One metric: what it is called, what it says, and where its samples are read."""

    name: str
    kind: Literal["histogram", "counter", "gauge"]
    help: str
    labels: tuple[str, ...]
    read: Read


def _of_lanes(read: Callable[[Lane], float | Histogram]) -> Read:
    """One sample for each version of each model and each route by which it is asked."""
    return lambda engine, log: [((*_labels(lane), lane.route), read(lane)) for lane in _lanes(engine)]


def _of_log(read: Callable[[Writer], float]) -> Read:
    """One sample where there is a log."""
    return lambda engine, log: [] if log is None else [((), read(log))]


def _errors(engine: Engine, log: Writer | None) -> Samples:
    # A copy, since bodies are decoded in threads too.
    return [
        ((*_labels(lane), lane.route, code), count)
        for lane in _lanes(engine)
        for code, count in list(lane.stats.errors.items())
    ]


def _ready(engine: Engine, log: Writer | None) -> Samples:
    return [((name,), float(state == "ready")) for name, state in engine.states.items()]


def _shadow_rows(engine: Engine, log: Writer | None) -> Samples:
    return [
        ((shadow.name, str(shadow.version), outcome), float(count))
        for shadow in _shadows(engine)
        for outcome, count in (
            ("equal", shadow.total.equal),
            ("different", shadow.total.different),
            ("failed", shadow.total.failed),
            ("dropped", shadow.dropped),
        )
    ]


def _shadow_difference(engine: Engine, log: Writer | None) -> Samples:
    return [((shadow.name, str(shadow.version)), shadow.total.difference_sum) for shadow in _shadows(engine)]


def _shadows(engine: Engine) -> list[Shadow]:
    return [shadow for shadows in engine.shadows.values() for shadow in shadows]


def _routes(engine: Engine, log: Writer | None) -> Samples:
    return [((name,), float(life.route.number)) for name, life in engine.lifecycles.items()]


def _refusals(engine: Engine, log: Writer | None) -> Samples:
    return [((name,), float(engine.refusals[name])) for name in engine.lifecycles]


def _info(engine: Engine, log: Writer | None) -> Samples:
    manifests = [(lane, lane.model.manifest) for lane in _lanes(engine) if lane.route == "live"]
    return [((*_labels(lane), made.framework.name, made.runtime.kind), 1.0) for lane, made in manifests]


def _accuracy(engine: Engine, log: Writer | None) -> Samples:
    return [
        ((found.model, str(group.of["version"]), name), metric.value)
        for found in _measured(log)
        for group in found.groups
        for name, metric in group.metrics.items()
    ]


def _coverage(engine: Engine, log: Writer | None) -> Samples:
    return [((of.model, str(group.of["version"])), group.coverage) for of in _measured(log) for group in of.groups]


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
    ),
    Metric(
        "salver_queue_duration_seconds",
        "histogram",
        "Time a batch waited, from the arrival of its first request to its start.",
        LANE,
        _of_lanes(lambda lane: lane.stats.queue_s),
    ),
    Metric(
        "salver_predict_duration_seconds",
        "histogram",
        "Time the model took for a batch.",
        LANE,
        _of_lanes(lambda lane: lane.stats.predict_s),
    ),
    Metric("salver_batch_rows", "histogram", "Rows in a batch.", LANE, _of_lanes(lambda lane: lane.stats.batch_rows)),
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
        "salver_model_ready",
        "gauge",
        "1 when the model takes requests, 0 while it loads or when it failed.",
        ("model",),
        _ready,
    ),
    Metric("salver_route_number", "gauge", "The number of the route that is in force here.", ("model",), _routes),
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
        "salver_model_info", "gauge", "1, with what serves the model in its labels.", (*MODEL, "framework", "runtime"), _info
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
        "salver_log_healthy",
        "gauge",
        "1 while the log can be written, 0 since it could not.",
        (),
        _of_log(lambda log: float(log.healthy)),
    ),
    Metric(
        "salver_accuracy",
        "gauge",
        "How accurate the last seven days' predictions are by their labels, every ten minutes.",
        (*MODEL, "metric"),
        _accuracy,
    ),
    Metric(
        "salver_label_coverage", "gauge", "The share of the last seven days' predictions that have labels.", MODEL, _coverage
    ),
)
"""Every metric of ours. docs/metrics.md has the same table; a test compares them."""


class Metrics:
    """Answers scrapes of one server, from a registry of its own."""

    def __init__(self, engine: Engine, log: Writer | None) -> None:
        self._engine = engine
        self._log = log
        self._registry: CollectorRegistry | None = None

    async def scrape(self, http: Request) -> Response:
        from prometheus_client import CollectorRegistry, ProcessCollector
        from prometheus_client.exposition import choose_encoder

        if self._registry is None:
            self._registry = CollectorRegistry()
            ProcessCollector(registry=self._registry)
            self._registry.register(self)
        encode, media_type = choose_encoder(http.headers.get("accept", ""))
        return Response(encode(self._registry), headers={"content-type": media_type})

    def collect(self) -> Iterable[Family]:
        """One family for each metric, as prometheus_client asks for them."""
        return [_family(metric, metric.read(self._engine, self._log)) for metric in METRICS]


def _family(metric: Metric, samples: Samples) -> Family:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    if metric.kind != "histogram":
        plain = (CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily)(
            metric.name, metric.help, labels=metric.labels
        )
        for labels, value in samples:
            assert not isinstance(value, Histogram)
            plain.add_metric(labels, value)
        return plain
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in samples:
        assert isinstance(value, Histogram)
        bounds = [*(str(float(bound)) for bound in value.bounds), "+Inf"]
        family.add_metric(labels, list(zip(bounds, accumulate(value.counts), strict=True)), value.sum)
    return family
