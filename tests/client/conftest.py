"""A server that the clients ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.echo import echo_folder
from tests.models import churn_file, iris_file
from tests.serving import Served, serving


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of `iris_model`, of `churn` (named columns, a category) and of `slow`, whose batches take 0.4 s."""
    folder = tmp_path_factory.mktemp("models")
    with serving([iris_file(folder), churn_file(folder), echo_folder(folder / "slow", delay_s=0.4)]) as made:
        yield made
