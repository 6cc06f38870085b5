"""What a stream has done and how it is, for people and for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from salver.engine.stats import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable


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
        self.dead: Counter[str] = Counter()
        self.retries: Counter[str] = Counter()  # by what could not be reached: source, sink, dead_letter, labels, log
        self.waiting: Counter[str] = Counter()  # 1 while it can't be
        self.lag: int | None = None
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

        def counter(name: str, text: str, label: str, values: dict[str, int]) -> Any:
            family = CounterMetricFamily(name, text, labels=["model", label])
            for value, count in values.items():
                family.add_metric([model, value], count)
            return family

        def gauge(name: str, text: str, value: float) -> Any:
            family = GaugeMetricFamily(name, text, labels=["model"])
            family.add_metric([model], value)
            return family

        yield counter("salver_stream_scored", "Messages whose answer is acknowledged, by version.", "version",
                      {str(counts.version): counts.scored})  # fmt: skip
        yield counter("salver_stream_dead", "Messages in the dead-letter place, by code.", "code", dict(counts.dead))
        yield counter(
            "salver_stream_retries", "Calls made again because it could not be reached.", "side", dict(counts.retries)
        )
        yield gauge("salver_stream_labels", "Labels put in the log.", counts.labels)
        yield gauge("salver_stream_version", "The version that answers.", counts.version)
        for side in ("source", "sink", "dead_letter", "labels", "log"):
            family = GaugeMetricFamily("salver_stream_unreachable", "1 while it can't be reached.", labels=["model", "side"])
            family.add_metric([model, side], counts.waiting[side])
            yield family
        if counts.lag is not None:
            yield gauge("salver_stream_lag", "Messages in the source that are not done.", counts.lag)


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
