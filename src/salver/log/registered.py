"""Predictions that lie elsewhere: the output of a batch job is log as it is, and not written twice.

A description in the log's folder names the files, and which of their columns are which field of a record. A commit lists it as
a cold file. Where the files have gone, so have their rows.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import msgspec

from salver.log.commit import ColdFile, latest, succeed
from salver.log.locks import held
from salver.log.table import LOCK, PREDICTIONS, Table

FOLDER = "batches"


class Registered(msgspec.Struct, frozen=True):
    """Files of predictions, and what their columns are. All rows have the time `ts`, in µs since 1970.

    `inputs` and `outputs` are by name; an output of several columns is the list of them. Those of `floats` may hold NaN.
    """

    model: str
    version: int
    ts: int
    rows: int
    date: str
    files: tuple[str, ...]
    inputs: dict[str, str]
    outputs: dict[str, list[str]]
    floats: tuple[str, ...] = ()
    key: str | None = None


def description(log: Path, job: str) -> Path:
    """Where the description of a job lies, by its name."""
    return log.absolute() / FOLDER / f"{job}.json"


def register(log: Path, job: str, rows: Registered) -> None:
    """Make these rows part of the log. To be done again does no harm: a job is in the log once."""
    table, path = Table(log, PREDICTIONS), description(log, job)
    path.parent.mkdir(parents=True, exist_ok=True)
    with held(table.folder / LOCK, wait=True):
        writing = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with writing.open("wb") as file:
            file.write(msgspec.json.encode(rows))
            file.flush()
            os.fsync(file.fileno())
        writing.replace(path)
        before = latest(table)
        gone = {file.path for file in before.files if file.path == str(path)}
        size = sum(Path(file).stat().st_size for file in rows.files)
        made = ColdFile(str(path), rows.model, rows.date, rows.rows, size)
        succeed(table, before, added=[made], dropped=gone, lost=bool(gone))


def registered(path: Path) -> Registered | None:
    """What a description says, of the files that are still there; None when it has gone."""
    try:
        told = msgspec.json.decode(path.read_bytes(), type=Registered)
    except FileNotFoundError:
        return None
    return msgspec.structs.replace(told, files=tuple(file for file in told.files if Path(file).is_file()))
