"""Servers that tests run and Python does not bring: Debian's packages, which `make programs` installs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

_SBIN = os.pathsep.join(("/usr/sbin", "/usr/local/sbin"))


def program(name: str, package: str, among: str = "") -> str:
    """Where a program is: on PATH, or in the folders that the pattern `among` means. Where it is nowhere, the test fails."""
    folders = [str(path) for path in sorted(Path("/").glob(among.lstrip("/")))] if among else []
    path = os.pathsep.join([os.environ.get("PATH", ""), _SBIN, *folders])
    found = shutil.which(name, path=path)
    if found is None:
        pytest.fail(f"this test runs {name}: install {package} (as root, `make programs` does)")
    return found
