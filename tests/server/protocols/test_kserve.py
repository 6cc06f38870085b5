"""The KServe SDK, which wants other packages than the rest of the tests and so has an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import Served

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = ROOT / ".kserve"
WANTED = "kserve==0.21.0"


@pytest.fixture(scope="module")
def python() -> Path:
    """The Python of an environment with the SDK, made once for a clone."""
    made = ENVIRONMENT / "bin" / "python"
    stamp = ENVIRONMENT / "made"
    if not stamp.is_file() or stamp.read_text() != WANTED:
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--clear", "--no-project", "--python", sys.executable, ENVIRONMENT], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", made, WANTED], check=True)
        stamp.write_text(WANTED)
    return made


def test_the_sdk_works_unchanged(several: Served, python: Path) -> None:
    program = Path(__file__).with_name("kserve_client.py")
    done = subprocess.run([python, program, several.url, several.grpc], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["live"] is told["ready"] is told["model"] is told["v1 model"] is True
    assert told["grpc ready"] == [True, True]
    for binary in (False, True):
        assert told[f"rest {binary}"] == [list(range(1, 17))]
        assert told[f"grpc {binary}"] == [list(range(-1, 15))]
    assert told["v1"] == [0, 2]
