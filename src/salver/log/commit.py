"""What is cold: numbered documents, of which the highest is in force.

A commit names every cold file and the hot segments whose rows are in them. It is created whole, and only if its number is
free, so a row moves from hot to cold in one instant. A reader lists the hot segments first and reads the commit after: what
became cold in between is then in the commit, and what was removed in between is missing when it is opened, so that the reader
starts again. No row is ever seen twice or not at all.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from salver.log.segment import sync_folder
from salver.log.table import Table

KEPT = 4
"""Commits that stay for readers that are about to open them."""


GRACE_S = 60.0
"""How long files stay that are out of force: a query that began before has opened them by then."""


class ColdFile(msgspec.Struct, frozen=True):
    """A Parquet file; `path` is below the table's folder, or absolute when it was registered from elsewhere."""

    path: str
    model: str
    date: str
    rows: int
    size_bytes: int


class Commit(msgspec.Struct, frozen=True):
    """What is in force. `retired` (segments) and `dropped` (cold files) are out of force, with the time, in s since 1970."""

    number: int = 0
    epoch: int = 0  # raised when rows went for good, by retention or erasure
    files: tuple[ColdFile, ...] = ()
    retired: dict[str, float] = {}
    dropped: dict[str, float] = {}


class Snapshot(NamedTuple):
    """A table at one instant: its hot segments and its cold files, by path."""

    hot: list[Path]
    cold: list[Path]
    commit: Commit


class Conflict(Exception):
    """Somebody else made the commit of that number first."""


def latest(table: Table) -> Commit:
    """The commit in force."""
    while True:
        names = sorted(table.commits.glob("*.json"))
        if not names:
            return Commit()
        try:
            return msgspec.json.decode(names[-1].read_bytes(), type=Commit)
        except FileNotFoundError:
            continue  # several were made meanwhile


def snapshot(table: Table) -> Snapshot:
    """The table now."""
    segments = table.segments()
    commit = latest(table)
    hot = [path for path in segments if path.name not in commit.retired]
    return Snapshot(hot, [table.folder / file.path for file in commit.files], commit)


def create(table: Table, commit: Commit) -> None:
    """Put a commit in force. Raises Conflict when its number is taken."""
    table.commits.mkdir(parents=True, exist_ok=True)
    writing = table.commits / f".{secrets.token_hex(6)}"
    with writing.open("wb") as file:
        file.write(msgspec.json.encode(commit))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(writing, table.commits / f"{commit.number:012}.json")
    except FileExistsError:
        raise Conflict(f"{table}: somebody else made commit {commit.number}") from None
    finally:
        writing.unlink()
    sync_folder(table.commits)
    for old in sorted(table.commits.glob("*.json"))[:-KEPT]:
        old.unlink(missing_ok=True)


def succeed(
    table: Table,
    before: Commit,
    *,
    added: list[ColdFile] | None = None,
    retired: list[Path] | None = None,
    dropped: set[str] | None = None,
    lost: bool = False,
) -> Commit:
    """Put the commit after `before` in force and return it. `lost` says that rows went for good. Raises Conflict."""
    now, gone = time.time(), dropped or set()
    commit = Commit(
        number=before.number + 1,
        epoch=before.epoch + lost,
        files=(*(file for file in before.files if file.path not in gone), *(added or [])),
        retired={
            **{name: at for name, at in before.retired.items() if (table.folder / name).exists()},
            **{path.name: now for path in retired or []},
        },
        dropped={
            **{name: at for name, at in before.dropped.items() if (table.folder / name).exists()},
            **dict.fromkeys(gone, now),
        },
    )
    create(table, commit)
    return commit


def copies(description: Path) -> Path:
    """Where the log's own copy of a batch job's output lies, where it has one."""
    return description.with_suffix("")


def is_own(name: str) -> bool:
    """Whether the rows of a cold file lie in the log, so that they go when it does."""
    path = Path(name)
    return not path.is_absolute() or copies(path).is_dir()


def sweep(table: Table, commit: Commit, grace_s: float) -> None:
    """Remove what has been out of force for `grace_s`, and what a killed process left half made. Under the table's lock."""
    before, in_force = time.time() - grace_s, {file.path for file in commit.files}
    for name, at in {**commit.retired, **commit.dropped}.items():
        path = table.folder / name
        if at <= before and name not in in_force and path.exists():
            if Path(name).is_absolute():
                shutil.rmtree(copies(path), ignore_errors=True)
            path.unlink(missing_ok=True)
    known = in_force | commit.dropped.keys()
    for path in table.parquet():
        if path.relative_to(table.folder).as_posix() not in known:
            path.unlink(missing_ok=True)
