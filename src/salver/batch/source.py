"""Where a job's input comes from. Files are read where they are; a query's rows and standard input are first kept in the job's
folder, so that a job resumed reads what it read before."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from salver.batch.database import Database, is_database, spooled
from salver.batch.plan import File, Format, files_of
from salver.batch.work import Work
from salver.errors import ConfigError

SPOOL = "input"


class Source(NamedTuple):
    """An input: its files, a digest of what they hold, and what it is called."""

    files: tuple[File, ...]
    fingerprint: str
    name: str


def source_of(given: str, query: str | None, format: Format | None, work: Work, begun: bool) -> Source:
    """The input that is meant. With `begun`, what a query gave when the job began is still there and is not asked again.

    Raises InputError or ConfigError.
    """
    if is_database(given):
        database = Database.parse(given)
        name = f"{database.name}?{query}" if query else database.name
        return _kept(name, work, "rows.parquet", None, begun, lambda path: spooled(database.read(query), path))
    if query:
        raise ConfigError("--query asks a database; the input is none")
    if given == "-":
        return _kept("-", work, f"rows.{format or 'jsonl'}", format, False, _copied)
    files = files_of(given, format)
    told = "\n".join(f"{file.path}\0{file.size_bytes}\0{file.mtime_ns}\0{file.format}" for file in files)
    return Source(files, hashlib.sha256(told.encode()).hexdigest(), str(Path(given).expanduser().absolute()))


def _kept(name: str, work: Work, file: str, format: Format | None, begun: bool, keep: Callable[[Path], str]) -> Source:
    """What `keep` writes to a file in the job's folder, with the digest that it returns."""
    folder = work.folder / SPOOL
    path, digest = folder / file, folder / "digest"
    if not (begun and digest.is_file()):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        digest.write_text(keep(path))
    return Source(files_of(str(path), format), digest.read_text(), name)


def _copied(path: Path) -> str:
    """Standard input in a file. Returns a digest of it."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        while block := sys.stdin.buffer.read(2**20):
            digest.update(block)
            file.write(block)
    return digest.hexdigest()
