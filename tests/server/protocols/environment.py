"""An environment of its own for a client that wants other packages than the rest of the tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def environment(name: str, wanted: str) -> Path:
    """The Python of the environment `.NAME`, which has the wanted package; it is made once for a clone."""
    folder = ROOT / f".{name}"
    python, stamp = folder / "bin" / "python", folder / "made"
    if not stamp.is_file() or stamp.read_text() != wanted:
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--clear", "--no-project", "--python", sys.executable, folder], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, wanted], check=True)
        stamp.write_text(wanted)
    return python
