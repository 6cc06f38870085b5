"""The alert rules and the dashboard ask for metrics that are there, and leave none out unsaid."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from salver.server.metric import METRICS
from salver.server.metrics import PROCESS
from salver.server.problems import STATUS

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "prometheus" / "alerts.yaml"
BOARD = ROOT / "deploy" / "grafana" / "salver.json"

LEFT_OUT = {"process_virtual_memory_bytes", "process_max_fds", "process_start_time_seconds"}
"""Not on the dashboard: limits and a date, which no operator watches."""

_OF_THE_TARGET = {"instance", "job"}
_SELECTED = re.compile(r"\b((?:salver|process)_\w+)(?:\{([^}]*)\})?")
_GROUPED = re.compile(r"\bby \(([^)]*)\)")


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(BOARD.read_text())["panels"] if panel["type"] != "row"]


def queries() -> Iterator[str]:
    yield from (rule["expr"] for rule in alerts())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])
    yield from (each["query"] for each in json.loads(BOARD.read_text())["templating"]["list"] if each["type"] == "query")


def series() -> dict[str, set[str]]:
    """The labels of every series, by the name that queries call it."""
    found: dict[str, set[str]] = {name: set() for name, _, _ in PROCESS}
    for metric in METRICS:
        if metric.kind != "histogram":
            found[metric.name] = set(metric.labels)
            continue
        found.update({f"{metric.name}_{part}": set(metric.labels) for part in ("sum", "count")})
        found[f"{metric.name}_bucket"] = {*metric.labels, "le"}
    return found


@pytest.mark.parametrize("query", sorted(set(queries())))
def test_a_query_asks_for_what_there_is(query: str) -> None:
    known, labels = series(), set(_OF_THE_TARGET)
    for name, selected in _SELECTED.findall(query):
        assert name in known, name
        labels |= known[name]
        asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selected))
        assert asked <= known[name] | _OF_THE_TARGET, f"{name} has no {asked - known[name]}"
    grouped = {label.strip() for group in _GROUPED.findall(query) for label in group.split(",")}
    assert grouped <= labels, f"nothing there has {grouped - labels}"
    for codes in re.findall(r'\bcode=~"([^"]*)"', query):
        assert set(codes.split("|")) <= set(STATUS)


def test_every_metric_is_on_the_dashboard_or_left_out_on_purpose() -> None:
    shown = {name for panel in panels() for target in panel["targets"] for name, _ in _SELECTED.findall(target["expr"])}
    names = {metric.name for metric in METRICS} | {name for name, _, _ in PROCESS}
    hidden = {name for name in names if not any(re.fullmatch(f"{name}(_bucket|_sum|_count)?", one) for one in shown)}
    assert hidden == LEFT_OUT


def test_a_legend_names_labels_that_there_are() -> None:
    known = series()
    for panel in panels():
        for target in panel["targets"]:
            labels = {label for name, _ in _SELECTED.findall(target["expr"]) for label in known[name]} | _OF_THE_TARGET
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels, panel["title"]


def test_panels_do_not_cover_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(BOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_an_alert_says_what_to_do() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names)
    assert set(names) == set(re.findall(r"^### (Salver\w+)$", page, re.MULTILINE))
    for rule in alerts():
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+m", rule["for"])
        assert rule["labels"]["severity"] in {"page", "warning"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"
