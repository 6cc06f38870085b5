"""`python -m salver.doctor.waking FOLDER`: wake one admitted artifact and have it answer its golden rows, as a server would.

In a process of its own: a model that crashes or hangs must not take the doctor with it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from salver.artifact.artifact import open_artifact
from salver.artifact.trust import Policy
from salver.errors import SalverError

WAKE_S = 120.0


def wake(folder: Path, wake_s: float = WAKE_S) -> str:
    """What is wrong with an artifact, empty when it answers. It may run code, so the policy in force must have let it in."""
    command = [sys.executable, "-m", "salver.doctor.waking", str(folder)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=wake_s)
    except subprocess.TimeoutExpired:
        return f"it did not answer its golden rows within {wake_s:g} s"
    if done.returncode < 0:
        return f"the process that woke it was ended by signal {-done.returncode}"
    lines = (done.stdout.strip() or done.stderr.strip()).splitlines()
    return "" if done.returncode == 0 else lines[-1] if lines else "it could not be woken"


def _wake_here(folder: Path) -> int:
    from salver.engine.model import Model

    try:
        Model(Policy("trusted").admit(open_artifact(folder))).close()
    except SalverError as error:
        print(error.message)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_wake_here(Path(sys.argv[1])))
