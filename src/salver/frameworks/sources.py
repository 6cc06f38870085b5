"""What a model is named by: a file, an MLflow folder, a class in a Python file → the one file that `files.read` reads it from.

Knows the files only; runs and imports nothing.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from salver.errors import ModelFileError
from salver.frameworks import hints, mlflow, own

_FOLDERS = (mlflow.MLMODEL, own.PACK)
"""Files that are read together with all that lies beside them."""


def is_source(source: Path) -> bool:
    """Whether a model can be read from there."""
    return source.is_file() or mlflow.is_folder(source) or own.is_named(source)


def is_address(text: str) -> bool:
    """Whether this is a model's address on a tracking server: models:/iris@champion."""
    return text.startswith(mlflow.SCHEMES)


def stem(source: Path) -> str:
    """What the model is called when nobody says."""
    if is_address(str(source)):
        parts = str(source).partition(":")[2].strip("/").split("/")
        return (parts[0] if str(source).startswith("models:") else parts[-1]).partition("@")[0]
    if own.is_named(source) and not source.is_file():
        return str(source).rpartition(":")[2]
    return source.name if source.is_dir() else source.name.partition(".")[0]


def opened(source: Path, scratch: Path) -> Path:
    """The file to read, or the graph that is served as it is. A class is packed in `scratch`. Raises ModelFileError."""
    if own.is_named(source) and not source.is_file():
        return own.pack(source, scratch / "own")
    if mlflow.is_folder(source):
        return mlflow.graph_in(source) or source / mlflow.MLMODEL
    if not source.is_file():
        raise ModelFileError(f"no model file at {source}")
    return source


def keep(file: Path, folder: Path) -> None:
    """Copy all that reading `file` again needs into `folder`."""
    if file.name in _FOLDERS:
        # What a link leads to is copied: an artifact has none.
        shutil.copytree(file.parent, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        return
    folder.mkdir(exist_ok=True)
    for part in (file, hints.file_of(file)):
        if part.is_file():
            shutil.copyfile(part, folder / part.name)


def digest(source: Path) -> str:
    """The SHA-256, in hex, of all that the model is read from. Raises ModelFileError for no model."""
    if own.is_named(source) and not source.is_file():
        return own.digest(source)
    if mlflow.is_folder(source):
        made = hashlib.sha256()
        for part in sorted(part for part in source.rglob("*") if part.is_file()):
            made.update(f"\0{part.relative_to(source).as_posix()}\0".encode() + _sha256(part))
        return made.hexdigest()
    return _sha256(source).hex()


def _sha256(file: Path) -> bytes:
    with file.open("rb") as opened_file:
        return hashlib.file_digest(opened_file, "sha256").digest()
