"""A store with a model for streams."""

from __future__ import annotations

from pathlib import Path

import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import salver


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two versions of `iris`; the first is champion."""
    store = tmp_path_factory.mktemp("stream-store")
    X, y = load_iris(return_X_y=True)
    for C in (1.0, 0.001):
        salver.save(LogisticRegression(max_iter=1000, C=C).fit(X, y), "iris", sample=X, store=store)
    return store


@pytest.fixture
def store(models: Path, tmp_path: Path) -> Path:
    """The models, with a log of this test's own."""
    place = tmp_path / "store"
    place.mkdir()
    (place / "models").symlink_to(models / "models")
    return place
