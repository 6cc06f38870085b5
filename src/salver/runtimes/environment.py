"""The environment that a model's process runs in: this one where it has the packages of the model's lock, else one made by uv.

An environment is made once for each lock, whole or not at all, and shared by all models and servers of the user. When it is
there, nothing is asked of uv or of any index.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from salver.artifact.artifact import atomic_folder
from salver.config import environments_folder
from salver.errors import ArtifactError, Unavailable
from salver.frameworks import lent
from salver.frameworks.requirements import FILENAME, Lock, parse, this_python

_MAKE_S = 900.0
_SAID_CHARACTERS = 600


def host_command(folder: Path) -> list[str]:
    """The command that runs a model's process for the artifact in `folder`, its environment made if need be.

    Raises ArtifactError for a lock that is none, Unavailable when its environment can't be made.
    """
    wanted = stored_lock(folder)
    if wanted is None or wanted.is_here:
        return [sys.executable, "-m", "salver.frameworks.host"]
    return [str(environment(wanted.with_host())), "-P", str(lent.HERE)]


def stored_lock(folder: Path) -> Lock | None:
    """The lock of an audited artifact, if it has one."""
    try:
        return parse((folder / FILENAME).read_text())
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise ArtifactError(f"{FILENAME} is not text in UTF-8; it is not used") from None


def environment(wanted: Lock) -> Path:
    """The Python of an environment with exactly these packages; made now when there is none. Raises Unavailable."""
    digest = hashlib.sha256(wanted.text.encode()).hexdigest()[:32]
    folder = environments_folder() / f"{digest}-{wanted.python}"
    if not folder.is_dir():
        uv = _uv()
        with atomic_folder(folder) as made:
            _make(uv, made, wanted)
    return folder / "bin" / "python"


def _make(uv: str, folder: Path, wanted: Lock) -> None:
    # The same Python as ours serves where it fits; it is there for sure. uv finds, or fetches, any other.
    base = os.path.realpath(sys.executable) if wanted.python == this_python() else wanted.python
    _run([uv, "venv", "--quiet", "--no-project", "--allow-existing", "--python", base, str(folder)])
    (folder / FILENAME).write_text(wanted.text)
    # Wheels only: building a package would run code of it, and want compilers.
    install = [uv, "pip", "install", "--quiet", "--only-binary", ":all:", "--python", str(folder / "bin" / "python")]
    install += ["--requirements", str(folder / FILENAME)]
    try:
        _run([*install, "--offline"])
    except Unavailable:
        _run(install)


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_MAKE_S)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"making the model's environment took uv longer than {_MAKE_S:.0f} s") from None
    if done.returncode:
        said = " ".join(done.stderr.split())[:_SAID_CHARACTERS]
        raise Unavailable(
            "the model's environment can't be made from its requirements.lock; with a network, an index that has these "
            f"versions and a fitting Python it can. uv says: {said}"
        )


def _uv() -> str:
    if find_spec("uv"):
        from uv import find_uv_bin

        return str(find_uv_bin())
    found = which("uv")
    if not found:
        raise Unavailable(
            "the model was trained with other packages than are installed here, and making an environment for it needs uv: "
            "pip install 'salver[environments]'"
        )
    return found
