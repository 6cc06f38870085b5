"""A model at rest in a folder: written whole or not at all, opened in three steps.

Parse the manifest, audit every file against it (names, kinds, sizes, digests), construct. Nothing of the artifact is imported
or executed here, and nothing outside its folder is touched.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
import unicodedata
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TypeVar

import msgspec

from salver.artifact.manifest import FILENAME, FORMAT, GOLDEN, SIGNATURE, File, Golden, Manifest
from salver.errors import ArtifactError

MANIFEST_LIMIT_BYTES = 16 * 2**20
_CHUNK_BYTES = 2**20
_FILES_LIMIT = 20_000
_Parsed = TypeVar("_Parsed")


class _Format(msgspec.Struct):
    """What is read of a manifest before anything else: another format may say what this one does not know."""

    format: int


class Artifact:
    """An audited artifact: its folder, its manifest, its golden rows."""

    def __init__(self, folder: Path, manifest: Manifest, golden: Golden) -> None:
        self.folder = folder
        self.manifest = manifest
        self.golden = golden
        self.admitted = False  # by a policy (`artifact/trust.py`), to run the code that is in it

    def __repr__(self) -> str:
        return f"<Artifact {self.manifest.name} {self.manifest.runtime.kind} at {self.folder}>"


def open_artifact(folder: Path) -> Artifact:
    """Open the artifact in `folder`. Raises ArtifactError, which says what is wrong with it."""
    manifest = read_manifest(folder)
    _audit(folder, manifest)
    return Artifact(folder, manifest, _decode(_read(folder / GOLDEN), folder / GOLDEN, Golden))


def read_manifest(folder: Path) -> Manifest:
    """What the artifact in `folder` says of itself; its files are not looked at. Raises ArtifactError."""
    return decode_manifest(_read(folder / FILENAME), folder)


def decode_manifest(data: bytes, where: Path | str) -> Manifest:
    """The manifest of the artifact at `where`, whose files it names inside its folder. Raises ArtifactError."""
    written = _decode(data, f"{where}/{FILENAME}", _Format).format
    if written != FORMAT:
        raise ArtifactError(f"{where}: format {written} is not known to this Salver (it reads {FORMAT}); upgrade it")
    manifest = _decode(data, f"{where}/{FILENAME}", Manifest)
    if len({unicodedata.normalize("NFC", name).casefold() for name in manifest.files}) != len(manifest.files):
        raise ArtifactError(f"{where}: {FILENAME} lists names that differ in their case alone; it is not opened")
    for name in manifest.files:
        pure = PurePosixPath(name)
        if name in (FILENAME, SIGNATURE) or not name.isprintable():
            raise ArtifactError(f"{where}: {FILENAME} lists a name that no file of a model may have; it is not opened")
        if pure.is_absolute() or ".." in pure.parts or "\\" in name or name != pure.as_posix():
            raise ArtifactError(f"{where}: {FILENAME} lists a path that leaves the artifact; it is not opened")
    return manifest


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def describe_files(folder: Path) -> dict[str, File]:
    """Size and digest of every file below `folder`, by its path with forward slashes; the manifest itself is left out."""
    return {
        path.relative_to(folder).as_posix(): File(sha256_of(path), path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path not in (folder / FILENAME, folder / SIGNATURE)
    }


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """The last file of an artifact to be written."""
    (folder / FILENAME).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))


def write_golden(folder: Path, golden: Golden) -> None:
    (folder / GOLDEN).write_bytes(msgspec.json.encode(golden))


@contextmanager
def atomic_folder(destination: Path) -> Generator[Path]:
    """A folder to write in that becomes `destination` when the block ends well, and is removed when it does not.

    Where somebody else finished the same destination first, theirs stays.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    made = destination.parent / f".{destination.name}.{secrets.token_hex(6)}"
    made.mkdir()
    try:
        yield made
        try:
            made.rename(destination)
        except OSError:
            if not destination.is_dir():
                raise
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _read(path: Path) -> bytes:
    try:
        # Asked before it is opened: reading a pipe would wait for its writer.
        if path.is_symlink() or not stat.S_ISREG(path.stat().st_mode) or path.stat().st_size > MANIFEST_LIMIT_BYTES:
            raise ArtifactError(
                f"{path} is no plain file, a link or larger than {MANIFEST_LIMIT_BYTES} bytes; it is not opened"
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise ArtifactError(f"{path.parent} is no artifact: it has no {path.name}") from None


def _decode(data: bytes, where: Path | str, kind: type[_Parsed]) -> _Parsed:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArtifactError(f"{where} can't be read: {error}") from error


def _audit(folder: Path, manifest: Manifest) -> None:
    _require_listed(folder, manifest.files)
    for name in (GOLDEN, manifest.runtime.file):
        if name not in manifest.files:
            raise ArtifactError(f"{folder}: {name} is used but not listed in {FILENAME}")
    for name, file in manifest.files.items():
        path = folder / name
        if path.is_symlink() or not path.is_file() or not _inside(path, folder):
            raise ArtifactError(f"{folder}: {name} is missing or is not a plain file")
        if path.stat().st_size != file.size_bytes:
            raise ArtifactError(f"{folder}: {name} has not the size that {FILENAME} gives; fetch or save the model again")
        if sha256_of(path) != file.sha256:
            raise ArtifactError(f"{folder}: {name} is not what was saved (its digest differs); fetch or save the model again")


def _require_listed(folder: Path, listed: dict[str, File]) -> None:
    """What is not listed has no digest, and yet whoever reads the folder may use it."""
    known = {FILENAME, SIGNATURE, *listed}
    looked_at = 0
    for at, folders, files in os.walk(folder):
        for name in (*folders, *files):
            looked_at += 1
            if looked_at > _FILES_LIMIT:
                raise ArtifactError(f"{folder}: it has more than {_FILES_LIMIT} files and folders; it is not opened")
            path = Path(at) / name
            if (name in files or path.is_symlink()) and path.relative_to(folder).as_posix() not in known:
                raise ArtifactError(
                    f"{folder}: it holds a file that {FILENAME} does not list; remove it, or fetch the model again"
                )


def _inside(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
