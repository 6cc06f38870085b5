"""The SageMaker SDK, which wants other packages than the rest of the tests and so has an environment of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.server.protocols.environment import environment
from tests.serving import serving
from tests.tensors import rowsum_folder

WANTED = "sagemaker==2.257.7"


def test_the_sdks_predictor_works_unchanged(tmp_path: Path) -> None:
    python, program = environment("sagemaker", WANTED), Path(__file__).with_name("sagemaker_client.py")
    with serving([rowsum_folder(tmp_path / "rowsum")], environment={"SAGEMAKER_BIND_TO_PORT": "8080"}) as served:
        port = served.url.rpartition(":")[2]
        done = subprocess.run([python, program, port], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {way: [3.0, 7.0] for way in ("json", "csv", "npy", "csv to json")}
