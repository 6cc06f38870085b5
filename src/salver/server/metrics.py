"""GET /metrics: what the engine counted, in Prometheus' text format. Everything is read at the scrape, nothing is kept here."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

from starlette.requests import Request
from starlette.responses import Response

from salver.engine.stats import Histogram
from salver.server.metric import METRICS, Metric, Seen
from salver.server.samples import Merge, Sample, merged

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric as Family

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

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._worker = worker = seen.worker
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

    def merged(self, names: set[str]) -> list[Sample]:
        """Those metrics of all workers: of what each counts for itself."""
        own = self._read(metric for metric in METRICS if metric.name in names)
        others = [self._before, *(self._worker.others() if self._worker else [])]
        return merged([own, *([one for one in said if one.metric in names] for said in others)], _EVERY)

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
        return [_sample(one.name, labels, value) for one in metrics for labels, value in one.read(self._seen)]

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
