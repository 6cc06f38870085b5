"""The KServe SDK, which wants other packages than the rest of the tests and so has an environment of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.server.protocols.environment import environment
from tests.serving import Served

WANTED = "kserve==0.21.0"


def test_the_sdk_works_unchanged(several: Served) -> None:
    program = Path(__file__).with_name("kserve_client.py")
    done = subprocess.run(
        [environment("kserve", WANTED), program, several.url, several.grpc], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["live"] is told["ready"] is told["model"] is told["v1 model"] is True
    assert told["grpc ready"] == [True, True]
    for binary in (False, True):
        assert told[f"rest {binary}"] == [list(range(1, 17))]
        assert told[f"grpc {binary}"] == [list(range(-1, 15))]
    assert told["v1"] == [0, 2]
