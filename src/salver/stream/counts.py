"""What a stream has done and how it is, for people and for Prometheus."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import msgspec

from salver.engine.stats import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

    from salver.stream.shadows import Shadows


class Totals(msgspec.Struct):
    """`scored` messages have an answer in the sink, `dead` (by code) are in the dead-letter place, `labels` in the log."""

    scored: int = 0
    dead: dict[str, int] = {}
    labels: int = 0
    version: int = 0


class Counts:
    """Counted by the thread of the stream, read by any."""

    def __init__(self) -> None:
        self.scored = 0
        self.labels = 0
        self.version = 0
        self.answered: Counter[int] = Counter()  # by version
        self.dead: Counter[str] = Counter()
        self.retries: Counter[str] = Counter()  # by what could not be reached: source, sink, dead_letter, labels, log
        self.waiting: Counter[str] = Counter()  # 1 while it can't be
        self.seconds: defaultdict[str, float] = defaultdict(float)  # spent in each step, waiting and trying again included
        self.lag: int | None = None
        self.shadows: Shadows | None = None
        self.batch_rows = Histogram(tuple(2.0**power for power in range(11)))

    def totals(self) -> Totals:
        return Totals(self.scored, dict(self.dead), self.labels, self.version)


class _Families:
    """Made at the scrape, as prometheus-client wants it."""

    def __init__(self, counts: Counts, model: str) -> None:
        self._counts = counts
        self._model = model

    def collect(self) -> Iterable[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        counts, model = self._counts, self._model

        def counter(name: str, text: str, label: str, values: Mapping[Any, float]) -> Any:
            family = CounterMetricFamily(name, text, labels=["model", label])
            for value, count in values.items():
                family.add_metric([model, str(value)], count)
            return family

        def gauge(name: str, text: str, value: float) -> Any:
            family = GaugeMetricFamily(name, text, labels=["model"])
            family.add_metric([model], value)
            return family

        yield counter("salver_stream_scored", "Messages whose answer is acknowledged.", "version", counts.answered.copy())
        yield counter("salver_stream_dead", "Messages in the dead-letter place, by code.", "code", counts.dead.copy())
        yield counter("salver_stream_retries", "Calls made again as it was unreachable.", "side", counts.retries.copy())
        yield counter("salver_stream_seconds", "Where the time of the stream goes.", "step", counts.seconds.copy())
        yield self._batches()
        yield self._shadowed()
        yield gauge("salver_stream_labels", "Labels put in the log.", counts.labels)
        yield gauge("salver_stream_version", "The version that answers.", counts.version)
        for side in ("source", "sink", "dead_letter", "labels", "log"):
            family = GaugeMetricFamily("salver_stream_unreachable", "1 while it can't be reached.", labels=["model", "side"])
            family.add_metric([model, side], counts.waiting[side])
            yield family
        if counts.lag is not None:
            yield gauge("salver_stream_lag", "Messages in the source that are not done.", counts.lag)

    def _batches(self) -> Any:
        from prometheus_client.core import HistogramMetricFamily

        rows = self._counts.batch_rows
        bounds = [*(str(float(bound)) for bound in rows.bounds), "+Inf"]
        family = HistogramMetricFamily("salver_stream_batch_rows", "Messages that were scored together.", labels=["model"])
        family.add_metric([self._model], list(zip(bounds, accumulate(rows.counts), strict=True)), rows.sum)
        return family

    def _shadowed(self) -> Any:
        """What a server says of its shadows, by the same name."""
        from prometheus_client.core import CounterMetricFamily

        text = "Rows that a shadow was to answer: as the version in force did, otherwise, not at all, or dropped."
        family = CounterMetricFamily("salver_shadow_rows", text, labels=["model", "version", "outcome"])
        for shadow in [] if self._counts.shadows is None else self._counts.shadows.all:
            total = shadow.total
            outcomes = {"equal": total.equal, "different": total.different, "failed": total.failed}
            for outcome, count in {**outcomes, "dropped": shadow.dropped}.items():
                family.add_metric([self._model, str(shadow.version), outcome], count)
        return family


@contextmanager
def exposed(counts: Counts, model: str, host: str, port: int) -> Generator[None]:
    """Answer Prometheus on a port, from a thread."""
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(counts, model))
    server, thread = start_http_server(port, host, registry)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
