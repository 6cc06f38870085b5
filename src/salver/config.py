"""Where things are kept. Reads the environment when asked, never at import."""

from __future__ import annotations

import os
import sys
from pathlib import Path

STORE_VARIABLE = "SALVER_STORE"


def store_folder(given: str | None = None) -> Path:
    """The store: what was given, else SALVER_STORE, else a folder in the user's data directory."""
    chosen = given or os.environ.get(STORE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "salver"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "salver"
