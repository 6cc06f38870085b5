"""GET /metrics: what was counted, as Prometheus reads it."""

from __future__ import annotations

from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from salver.server.metric import METRICS
from tests.serving import Served

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
IRIS = {"model": "iris_model", "version": "1"}
LIVE = {**IRIS, "route": "live"}
Scrape = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(served: Served) -> Scrape:
    response = httpx.get(f"{served.url}/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(response.text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(scraped: Scrape, name: str, **labels: str) -> float:
    return scraped.get((name, frozenset(labels.items())), 0.0)


def test_requests_are_counted(iris: Served) -> None:
    before = scrape(iris)
    row = [5.1, 3.5, 1.4, 0.2]
    for body in ({"features": row}, {"instances": [row, row]}, {"features": [1]}, {"features": [1, 2, 3, None]}):
        httpx.post(f"{iris.url}/predict", json=body)
    httpx.post(f"{iris.url}/v2/models/iris_model/infer", json={"inputs": []})
    after = scrape(iris)

    def grown(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    assert grown("salver_predictions_total", **LIVE) == 3
    assert grown("salver_request_duration_seconds_count", **LIVE) == 2
    assert grown("salver_predict_duration_seconds_count", **LIVE) == 2
    assert grown("salver_queue_duration_seconds_count", **LIVE) == 2
    assert grown("salver_batch_rows_bucket", **LIVE, le="1.0") == 1
    assert grown("salver_batch_rows_bucket", **LIVE, le="+Inf") == 2
    assert grown("salver_batch_rows_sum", **LIVE) == 3
    assert grown("salver_errors_total", **LIVE, code="wrong_width") == 1
    assert grown("salver_errors_total", **LIVE, code="missing_value") == 1
    assert grown("salver_errors_total", **LIVE, code="invalid_body") == 1
    assert grown("salver_requests_abandoned_total", **LIVE) == 0
    assert grown("salver_log_bytes_total") > 100
    assert grown("salver_log_failures_total") == 0


def test_the_models_and_the_process_describe_themselves(several: Served) -> None:
    scraped = scrape(several)
    assert value(scraped, "salver_model_info", **IRIS, framework="scikit-learn", runtime="linear") == 1
    assert value(scraped, "salver_model_ready", model="churn") == 1
    assert value(scraped, "salver_queue_rows", **LIVE) == 0
    for name in ("resident_memory_bytes", "cpu_seconds_total", "open_fds", "start_time_seconds"):
        assert value(scraped, f"process_{name}") > 0


def test_openmetrics_where_it_is_asked_for(iris: Served) -> None:
    response = httpx.get(f"{iris.url}/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


def test_every_metric_of_the_table_is_there_and_no_other(iris: Served) -> None:
    families = text_string_to_metric_families(httpx.get(f"{iris.url}/metrics").text)
    ours = {family.name: (family.type, family.documentation) for family in families if family.name.startswith("salver_")}
    assert ours == {metric.name.removesuffix("_total"): (metric.kind, metric.help) for metric in METRICS}


def test_the_page_has_the_same_table() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|\n").split("|")] for line in PAGE.read_text().splitlines() if "| `salver" in line
    ]
    listed = [row for row in rows if row[1] in ("histogram", "counter", "gauge")]
    assert listed == [[f"`{metric.name}`", metric.kind, ", ".join(metric.labels), metric.help] for metric in METRICS]
