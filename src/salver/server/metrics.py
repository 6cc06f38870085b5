"""GET /metrics: what the engine counted, in Prometheus' text format. Everything is read at the scrape, nothing is kept here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from salver.engine.engine import Engine
from salver.engine.lane import Lane
from salver.engine.stats import ROWS, SECONDS, Histogram
from salver.log.writer import Writer
from salver.server.samples import Merge, Sample, merged
from salver.server.watched import WATCHED, alarms, drift, estimated, needed
from salver.server.workers import Worker

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric as Family

    from salver.engine.shadow import Shadow
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
    merge: Merge = "sum"  # what the values of many workers make
    bounds: Sequence[float] = ()  # of a histogram's buckets


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
        drift,
        "here",
    ),
    Metric("salver_alarms", "gauge", "Alarms that last, by their level.", (*WATCHED, "level"), alarms, "here"),
    Metric(
        "salver_estimated_accuracy",
        "gauge",
        "What labels would say of the last window, estimated without any: accuracy, or mae and rmse.",
        (*WATCHED, "metric"),
        estimated,
        "here",
    ),
    Metric(
        "salver_window_rows_needed",
        "gauge",
        "Rows that the growing window lacks before it is judged.",
        WATCHED,
        needed,
        "here",
    ),
)
"""Every metric of ours. docs/metrics.md has the same table; a test compares them."""


PROCESS: tuple[tuple[str, Literal["counter", "gauge"], Merge], ...] = (
    ("process_cpu_seconds_total", "counter", "sum"),
    ("process_resident_memory_bytes", "gauge", "sum"),
    ("process_virtual_memory_bytes", "gauge", "sum"),
    ("process_open_fds", "gauge", "sum"),
    ("process_max_fds", "gauge", "min"),
    ("process_start_time_seconds", "gauge", "min"),
)
"""Of the processes that answer; every Prometheus client has these."""

_EVERY: dict[str, Merge] = {
    **{metric.name: metric.merge for metric in METRICS},
    **{name: merge for name, _, merge in PROCESS},
}
_COUNTED = {name for name, kind, _ in PROCESS if kind == "counter"} | {m.name for m in METRICS if m.kind != "gauge"}


class Metrics:
    """Answers scrapes of one server, from a registry of its own: what this process counted, and what other workers did."""

    def __init__(self, engine: Engine, log: Writer | None, worker: Worker | None = None) -> None:
        self._engine = engine
        self._log = log
        self._worker = worker
        self._registry: CollectorRegistry | None = None
        self._process: Any = None
        self._before: list[Sample] = []
        if worker is not None:
            # What a worker that ended had counted goes on to count.
            self._before = [sample for sample in worker.before if sample.metric in _COUNTED]
            worker.count = self.counted

    async def scrape(self, http: Request) -> Response:
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import choose_encoder

        if self._registry is None:
            self._registry = CollectorRegistry()
            self._registry.register(self)
        encode, media_type = choose_encoder(http.headers.get("accept", ""))
        return Response(encode(self._registry), headers={"content-type": media_type})

    def counted(self) -> list[Sample]:
        """What the worker in this place has counted, and those that were here before it."""
        own = self._read(metric for metric in METRICS if metric.merge != "here")
        return merged([self._before, own, self._processes()], _EVERY)

    def collect(self) -> Iterable[Family]:
        """One family for each metric, as prometheus_client asks for them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        others = self._worker.others() if self._worker else []
        here = self._read(metric for metric in METRICS if metric.merge == "here")
        found: dict[str, list[Sample]] = {}
        for sample in merged([self.counted(), *others, here], _EVERY):
            found.setdefault(sample.metric, []).append(sample)
        yield from (_family(metric, found.get(metric.name, [])) for metric in METRICS)
        for name, kind, _ in PROCESS:
            if name in found:
                made = (CounterMetricFamily if kind == "counter" else GaugeMetricFamily)(
                    name, "Of all processes that answer.", labels=()
                )
                made.add_metric((), found[name][0].value)
                yield made

    def _read(self, metrics: Iterable[Metric]) -> list[Sample]:
        return [_sample(one.name, labels, value) for one in metrics for labels, value in one.read(self._engine, self._log)]

    def _processes(self) -> list[Sample]:
        from prometheus_client import CollectorRegistry, ProcessCollector

        if self._process is None:
            self._process = ProcessCollector(registry=CollectorRegistry())
        return [Sample(one.name, (), one.value) for family in self._process.collect() for one in family.samples]


def _sample(name: str, labels: tuple[str, ...], value: float | Histogram) -> Sample:
    if isinstance(value, Histogram):
        return Sample(name, labels, value.sum, value.counts)
    return Sample(name, labels, value)


def _family(metric: Metric, samples: list[Sample]) -> Family:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    if metric.kind != "histogram":
        plain = (CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily)(
            metric.name, metric.help, labels=metric.labels
        )
        for sample in samples:
            plain.add_metric(sample.labels, sample.value)
        return plain
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    bounds = [*(str(float(bound)) for bound in metric.bounds), "+Inf"]
    for sample in samples:
        family.add_metric(sample.labels, list(zip(bounds, accumulate(sample.counts or []), strict=True)), sample.value)
    return family
