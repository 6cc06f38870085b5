"""A finished job becomes part of the log: by a description of its output, or by what the log's own rules left of it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from salver.artifact.manifest import Manifest as Model
from salver.batch.job import Manifest
from salver.batch.outputs import names_of
from salver.batch.work import Work
from salver.log.commit import copies, latest, succeed
from salver.log.locks import held
from salver.log.registered import FOLDER, Registered, description, register
from salver.log.signatures import note
from salver.log.table import LOCK, PREDICTIONS, Table


def put_in_log(log: Path, manifest: Manifest, model: Model, files: list[Path], work: Work) -> None:
    """Put the rows of a finished job in the log, once however often this is done. Raises ConfigError, OSError."""
    job = manifest.job
    note(log, job.model, job.version, model.signature)
    name = f"{job.seed:016x}"
    lines = sorted((work.folder / "lines").glob("*.jsonl"))
    if lines:
        _write(log, name, lines)
        return
    if job.format != "parquet" or not files:
        files = _moved(copies(description(log, name)), work)
    if files and manifest.rows:
        register(log, name, _registered(manifest, model, files))


def _registered(manifest: Manifest, model: Model, files: list[Path]) -> Registered:
    import pyarrow
    from pyarrow.parquet import read_schema

    job, signature = manifest.job, model.signature
    schema = read_schema(files[0])
    outputs = names_of(signature)
    answers = {column for columns in outputs.values() for column in columns} | {"id", "flags", "version"}
    sources = dict(zip(signature.names, job.columns or signature.names, strict=True))
    if not job.columns and not set(signature.names) & set(schema.names):
        kept = [name for name in schema.names if name not in answers]
        sources = dict(zip(signature.names, kept, strict=False))  # by position, as they were read
    inputs = {name: f"input_{column}" if column in answers else column for name, column in sources.items()}
    inputs = {name: column for name, column in inputs.items() if column in schema.names}
    return Registered(
        model=job.model,
        version=job.version,
        ts=manifest.ts,
        rows=manifest.rows,
        date=datetime.fromtimestamp(manifest.ts / 1e6, UTC).date().isoformat(),
        files=tuple(str(file.absolute()) for file in files),
        inputs=inputs,
        outputs=outputs,
        floats=tuple(field.name for field in schema if pyarrow.types.is_floating(field.type)),
        key=job.key and (f"input_{job.key}" if job.key in answers else job.key),
    )


def _moved(folder: Path, work: Work) -> list[Path]:
    """What the log reads itself, from the job's folder to the log's."""
    folder.mkdir(parents=True, exist_ok=True)
    made = sorted((work.folder / "copy").glob("*.parquet")) or sorted((work.folder / "parts").glob("*.parquet"))
    for path in made:
        place = folder / path.name
        writing = folder / f".{path.name}.{os.getpid()}"
        with path.open("rb") as source, writing.open("wb") as copy:
            while block := source.read(2**20):
                copy.write(block)
            copy.flush()
            os.fsync(copy.fileno())
        writing.replace(place)
    return sorted(folder.glob("*.parquet"))


def _write(log: Path, name: str, lines: list[Path]) -> None:
    """Lines that the log's rules have changed become cold files, in one commit; `done` says that they have."""
    from salver.log.compact import write
    from salver.log.duck import lines as rows_of

    done = log / FOLDER / f"{name}.done"
    done.parent.mkdir(parents=True, exist_ok=True)
    table = Table(log, PREDICTIONS)
    with held(table.folder / LOCK, wait=True):
        before = latest(table)
        if done.is_file() and set(done.read_text().split("\n")) <= {file.path for file in before.files}:
            return
        made = write(table, before.number + 1, rows_of(PREDICTIONS, lines))
        done.write_text("\n".join(sorted(file.path for file in made)))
        succeed(table, before, added=made)
