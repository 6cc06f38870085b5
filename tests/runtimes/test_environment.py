"""Environments are made once, whole or not at all; where they can't be made, it is said why."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import pytest

from salver.config import ENVIRONMENTS_VARIABLE
from salver.errors import ArtifactError, Unavailable
from salver.frameworks.requirements import FILENAME, Lock, lock, this_python
from salver.runtimes import environment as module
from salver.runtimes.environment import environment, host_command

SMALL = Lock(this_python(), {"msgspec": version("msgspec")})


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(ENVIRONMENTS_VARIABLE, str(tmp_path / "environments"))
    return tmp_path / "environments"


def test_without_a_lock_or_with_what_is_here_this_python_serves(tmp_path: Path) -> None:
    here = [sys.executable, "-m", "salver.frameworks.host"]
    assert host_command(tmp_path) == here
    (tmp_path / FILENAME).write_text(lock(["scikit-learn"]).text)
    assert host_command(tmp_path) == here


def test_of_two_who_make_the_same_both_have_it_and_there_is_one(kept: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(environment, [SMALL, SMALL])
    assert one == other
    assert [folder.name for folder in kept.iterdir()] == [one.parents[1].name]
    code = "import msgspec; print(msgspec.__version__)"
    assert subprocess.run([one, "-c", code], capture_output=True, text=True).stdout.strip() == SMALL.pins["msgspec"]
    hidden = subprocess.run([one, "-c", "import sklearn"], capture_output=True, text=True)
    assert "No module named 'sklearn'" in hidden.stderr


def test_once_made_it_is_found_without_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    made = environment(SMALL)
    monkeypatch.setattr(module, "_uv", lambda: pytest.fail("uv was asked"))
    assert environment(SMALL) == made


def test_a_version_that_is_nowhere_is_told_and_leaves_nothing(kept: Path) -> None:
    with pytest.raises(Unavailable, match="can't be made"):
        environment(Lock(this_python(), {"msgspec": "0.0.1"}))
    assert list(kept.iterdir()) == []


def test_without_uv_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match=r"pip install 'salver\[environments\]'"):
        environment(SMALL)


def test_a_lock_that_is_none_is_refused_before_uv_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_uv", lambda: pytest.fail("uv was asked"))
    (tmp_path / FILENAME).write_text("--index-url http://127.0.0.1:1\nmsgspec==0.19.0\n")
    with pytest.raises(ArtifactError, match="line 1"):
        host_command(tmp_path)
    (tmp_path / FILENAME).write_bytes(b"\xff\xfe")
    with pytest.raises(ArtifactError, match="UTF-8"):
        host_command(tmp_path)
