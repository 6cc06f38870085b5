"""Servers that several tests ask, started once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models import churn_file, iris_file
from tests.serving import Served, free_port, serving
from tests.tensors import protocol_folders


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that servers share, so that a model file is lowered once."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="session")
def iris(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Iterator[Served]:
    """A server of one model, `iris_model`."""
    with serving([iris_file(tmp_path_factory.mktemp("iris"))], store=store) as served:
        yield served


@pytest.fixture(scope="session")
def several(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Iterator[Served]:
    """A server of `iris_model`, of `churn` (named columns, one a category, one nullable) and of graphs; with gRPC."""
    folder = tmp_path_factory.mktemp("several")
    models = [iris_file(folder), churn_file(folder), *protocol_folders(folder)]
    with serving(models, store=store, grpc_port=free_port()) as served:
        yield served
