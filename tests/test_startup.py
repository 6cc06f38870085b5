"""The short form of benchmarks/startup.py: a start is little more than its imports, and loads no training library."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.startup import TRAINING, imported, iris_models, measure

pytestmark = pytest.mark.alone

RATIO = 1.5
RESIDENT_MB = 120


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One that numpy serves and one that ONNX Runtime serves."""
    return list(iris_models(tmp_path_factory.mktemp("models")).values())


@pytest.mark.parametrize("kind", [0, 1], ids=["linear", "graph"])
def test_a_cached_start_is_quick_and_small(models: list[Path], kind: int) -> None:
    measured = measure(models[kind], rounds=5)
    assert measured.best_ratio <= RATIO, measured
    assert measured.resident_mb <= RESIDENT_MB, measured


@pytest.mark.parametrize("kind", [0, 1], ids=["linear", "graph"])
def test_a_lowered_model_needs_no_training_library(models: list[Path], kind: int) -> None:
    assert not imported(models[kind]).intersection(TRAINING)
