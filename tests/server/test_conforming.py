"""schemathesis makes requests from /openapi.json, fitting ones and others: what comes back is what stands there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models import churn_file
from tests.serving import Served, serving
from tests.tensors import simple_folder

CHECKS = (
    "no_fault",
    "conforms",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "negative_data_rejection",
    "missing_required_header",
)
LAST = ("accuracy", "erase", "v2_load", "v2_unload")
"""Operations that are tried after the others: slow ones, which start processes, and those that take models away."""


def hold(served: Served, folder: Path, examples: int, seed: int, phases: str, *arguments: str) -> None:
    """Let schemathesis try the operations that `arguments` choose. Its checks of ours are in tests/server/conforming.py."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{served.url}/openapi.json", *arguments]
    command += ["--checks", ",".join(CHECKS), "--phases", phases, "--warnings", "off"]
    command += ["--max-examples", str(examples), "--seed", str(seed), "--no-shrink", "--continue-on-failure", "--no-color"]
    command += ["--request-timeout", "60"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.server.conforming", "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    assert served.process.poll() is None


def hold_all(folder: Path, examples: int, seed: int, phases: str, last: str) -> None:
    """All operations of a server of two models, which is gone afterwards: some of them change what it serves.

    Those of LAST are tried in the phases `last`.
    """
    models = [churn_file(folder), simple_folder(folder / "simple")]
    with serving(models) as served:
        hold(served, folder, examples, seed, phases, *(f"--exclude-operation-id={operation}" for operation in LAST))
        hold(served, folder, examples, seed, last, *(f"--include-operation-id={operation}" for operation in LAST))


def test_every_answer_is_described(tmp_path: Path) -> None:
    hold_all(tmp_path, examples=3, seed=1, phases="coverage,fuzzing", last="fuzzing")


def test_so_is_that_of_the_only_model(iris: Served, tmp_path: Path) -> None:
    hold(iris, tmp_path, 3, 1, "coverage,fuzzing", "--include-path=/predict", "--include-path=/invocations")


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_thousands_for_each_route(tmp_path: Path) -> None:
    hold_all(tmp_path, examples=1000, seed=2, phases="examples,coverage,fuzzing", last="coverage,fuzzing")
