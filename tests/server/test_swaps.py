"""Versions that take turns under constant open-loop load: nothing is lost, misrouted, slower, or kept in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.swaps import capacity, forests, swap_under_load, write_chart
from salver.artifact.artifact import open_artifact
from salver.engine.model import Model
from salver.registry.registry import Registry
from tests.registry.artifacts import WIDTH, linear_artifact

CHART = Path(__file__).resolve().parents[2] / "docs" / "swaps.svg"


def test_swaps_lose_and_misroute_nothing(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    models = [linear_artifact(tmp_path / f"made{seed}", seed=seed) for seed in (1, 2)]
    for folder in models:
        registry.publish(folder)
    awake = [Model(open_artifact(folder)) for folder in models]
    rows = [[float(i == k) for i in range(WIDTH)] for k in range(WIDTH)]
    row = next(r for r in rows if len({int(model.predict_rows([r])["prediction"][0]) for model in awake}) == 2)
    result = swap_under_load(tmp_path, "iris", row, swaps=5, rate_per_s=300.0)
    assert (result.swaps, result.failed, result.misrouted) == (5, 0, 0)
    assert result.requests > 1000
    assert result.memory_after_mb <= 1.1 * result.memory_mb


@pytest.mark.soak
def test_two_hundred_swaps_at_half_of_the_capacity(tmp_path: Path) -> None:
    row = forests(tmp_path)
    result = swap_under_load(tmp_path, "forest", row, 200, capacity(tmp_path, "forest", row) / 2)
    write_chart(result, CHART)
    print(result.summary)
    assert (result.swaps, result.failed, result.misrouted) == (200, 0, 0)
    assert result.p99_in_swaps_us <= 1.3 * result.p99_us
    assert result.memory_after_mb <= 1.1 * result.memory_mb
