"""Hostile artifacts are refused before anything of them runs, each for its own reason, within bounded memory and time."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from salver.errors import ArtifactError
from salver.frameworks.requirements import parse
from tests.artifact.hostile import CANARY, HOSTILE, LOCKS, copied

LIMIT_BYTES = 3 * 2**30  # of address space, of which ONNX Runtime and numpy take most; what is in memory is measured
MEMORY_MB = 400
LIMIT_S = 20

WAKE = """
import sys
from pathlib import Path
from salver.artifact.artifact import open_artifact
from salver.artifact.trust import Policy
from salver.engine.model import Model
from salver.errors import SalverError
import salver.runtimes.onnx

try:
    Model(Policy().admit(open_artifact(Path(sys.argv[1]))))
except SalverError as error:
    # The peak of this program alone: getrusage also counts the process that it was forked from.
    (peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    print(int(peak.split()[1]) // 1024)
    print(error.message)
    raise SystemExit(3)
"""


def wake(folder: Path, trusted: Path) -> tuple[int, int, str]:
    """How a process that opens and wakes the artifact ends, the memory in MB it took, and what it said."""
    done = subprocess.run(
        [sys.executable, "-c", WAKE, str(folder)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LIMIT_S,
        env={"SALVER_TRUSTED": str(trusted), "HOME": str(folder.parent)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES)),
    )
    first, _, rest = done.stdout.partition("\n")
    return done.returncode, int(first) if first.isdigit() else 0, rest + done.stderr


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good artifact of a linear model."""
    from salver.lower.publish import publish
    from tests.models import iris_file

    at = tmp_path_factory.mktemp("linear")
    publish(iris_file(at), "linear", at / "linear")
    return at / "linear"


def test_the_good_one_wakes(linear: Path, tmp_path: Path) -> None:
    code, _, said = wake(linear, tmp_path / "trusted.txt")
    assert code == 0, said


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_and_runs_nothing(linear: Path, tmp_path: Path, name: str) -> None:
    spoil, reason = HOSTILE[name]
    folder = copied(linear, tmp_path / "linear")
    spoil(folder)
    code, memory_mb, said = wake(folder, tmp_path / "trusted.txt")
    assert code == 3, said
    assert re.search(reason, said), said
    assert memory_mb < MEMORY_MB
    assert not (tmp_path / CANARY).exists()


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_chooses_versions_and_nothing_else(name: str) -> None:
    with pytest.raises(ArtifactError, match=r"requirements\.lock"):
        parse(f"# python 3.11\nmsgspec==0.19.0\n{LOCKS[name]}\n")


def test_there_are_enough_of_them() -> None:
    assert len(HOSTILE) >= 25
