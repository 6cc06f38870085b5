"""Where a job's output goes: a folder of parts, one file, a table of a database, standard output. It appears there at once."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path
from typing import Protocol

import msgspec

from salver.batch.database import Database, is_database
from salver.batch.job import Manifest, encoded, write
from salver.batch.plan import SUFFIXES, Format
from salver.batch.work import Work
from salver.batch.writing import append, joined
from salver.errors import ConfigError
from salver.log.segment import sync_folder

MANIFEST = "_manifest.json"


class Target(Protocol):
    """A place for output."""

    name: str
    format: Format
    work: Path  # where the job is done

    def manifest(self) -> Manifest | None:
        """The job whose output is there, whole."""
        ...

    def taken(self) -> bool:
        """Whether something is there that no job made."""
        ...

    def place(self, work: Work, manifest: Manifest) -> list[Path]:
        """Put the output of a finished job there, and return its files, in order. May be done again."""
        ...


def target_of(output: str, format: Format | None, store: Path) -> Target:
    """The place that an output names. Raises ConfigError."""
    if output == "-":
        return Standard(format or "jsonl", store)
    if is_database(output):
        return InTable(Database.parse(output), store)
    path = Path(output).expanduser().absolute()
    known = SUFFIXES.get(path.suffix.lower())
    if known is not None and not path.is_dir():
        return InFile(path, format or known)
    return InFolder(path, format or "parquet")


class InFolder:
    """A file for each part, and a manifest beside them."""

    def __init__(self, path: Path, format: Format) -> None:
        self.path = path
        self.name = str(path)
        self.format: Format = format
        self.work = path.with_name(f".{path.name}.salver")

    def manifest(self) -> Manifest | None:
        return _read(self.path / MANIFEST)

    def taken(self) -> bool:
        return self.path.exists() and not (self.path / MANIFEST).is_file()

    def place(self, work: Work, manifest: Manifest) -> list[Path]:
        parts = work.folder / "parts"
        if parts.is_dir():
            write(parts / MANIFEST, encoded(manifest))
            _clear_of_unfinished(parts)
            before = self.path.with_name(f".{self.path.name}.before")
            shutil.rmtree(before, ignore_errors=True)
            if self.path.exists():
                self.path.rename(before)
            parts.rename(self.path)
            sync_folder(self.path.parent)
            shutil.rmtree(before, ignore_errors=True)
        return sorted(self.path.glob("part-*"))


class InFile:
    """One file; the manifest is `NAME.manifest.json` beside it."""

    def __init__(self, path: Path, format: Format) -> None:
        self.path = path
        self.name = str(path)
        self.format: Format = format
        self.work = path.with_name(f".{path.name}.salver")
        self._manifest = path.with_name(f"{path.name}.manifest.json")

    def manifest(self) -> Manifest | None:
        return _read(self._manifest) if self.path.is_file() else None

    def taken(self) -> bool:
        return self.path.exists() and not self._manifest.is_file()

    def place(self, work: Work, manifest: Manifest) -> list[Path]:
        parts = sorted((work.folder / "parts").glob("part-*"))
        if not self.path.is_file() or not _is_of(self.manifest(), manifest):
            whole = work.folder / f"whole.{self.format}"
            joined(parts, whole, self.format)
            whole.replace(self.path)
            write(self._manifest, encoded(manifest))
            sync_folder(self.path.parent)
        return [self.path]


class InTable:
    """A table of a database, written in one transaction with the manifest."""

    def __init__(self, database: Database, store: Path) -> None:
        self.database = database
        self.name = database.name
        self.format: Format = "parquet"
        self.work = store / "batches" / hashlib.sha256(self.name.encode()).hexdigest()[:16]

    def manifest(self) -> Manifest | None:
        return self.database.manifest()

    def taken(self) -> bool:
        return self.database.exists() and self.database.manifest() is None

    def place(self, work: Work, manifest: Manifest) -> list[Path]:
        parts = sorted((work.folder / "parts").glob("part-*"))
        if not _is_of(self.database.manifest(), manifest):
            self.database.write(parts, manifest)
        return []


class Standard:
    """Standard output, in the order of the input, once all is scored. Nothing is left behind, and nothing is resumed."""

    name = "-"

    def __init__(self, format: Format, store: Path) -> None:
        self.format: Format = format
        self.work = store / "batches" / f"stdout-{os.getpid()}"
        if format in ("parquet", "arrow"):
            raise ConfigError("standard output takes csv, tsv or jsonl: --to jsonl")

    def manifest(self) -> Manifest | None:
        return None

    def taken(self) -> bool:
        return False

    def place(self, work: Work, manifest: Manifest) -> list[Path]:
        append(sorted((work.folder / "parts").glob("part-*")), sys.stdout.buffer, self.format)
        sys.stdout.buffer.flush()
        return []


def _is_of(found: Manifest | None, manifest: Manifest) -> bool:
    """Whether what is there came of this very run, which was then killed before it could tidy up."""
    return found is not None and (found.job, found.ts) == (manifest.job, manifest.ts)


def _read(path: Path) -> Manifest | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path} is no manifest of a job") from error


def _clear_of_unfinished(folder: Path) -> None:
    """What a killed process left half written never comes with the rest."""
    for path in folder.glob(".part-*"):
        path.unlink()
