"""One part of a job, from reading to its record. The same whoever does it: a thread here, or a worker of a cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from salver.artifact.artifact import open_artifact
from salver.artifact.trust import Policy
from salver.batch.job import Begun, Done
from salver.batch.plan import Part
from salver.batch.reading import Chunk, chunks
from salver.batch.score import BadRow, Scorer
from salver.batch.work import Work
from salver.batch.writing import PartWriter, settle
from salver.engine.model import Model
from salver.engine.recorder import Recorder
from salver.errors import InputError
from salver.log.policy import Policies
from salver.log.settings import read_settings

Told = Callable[[int, int], None]
"""Hears how many rows were scored, and how many were bad, after each chunk. What it raises ends the part."""


class Worker:
    """Does parts, one at a time, with a model of its own."""

    def __init__(self, begun: Begun, work: Path, artifact: Path, policy: Policy, log: Path | None) -> None:
        """`artifact` is the folder of the version, `log` that of the log. Raises what a model that can't be woken raises."""
        job = begun.job
        self._begun = begun
        self._work = Work(work)
        self._model = Model(policy.admit(open_artifact(artifact)), job.version)
        self._copies = log is not None and job.format != "parquet"
        recorder = None
        if log is not None:
            rules = Policies(log, read_settings(log)).of(job.model, self._model.signature)
            if rules is not None:
                recorder = Recorder(job.model, job.version, self._model.signature, "batch", rules)
                self._copies = False
        self._records = recorder is not None
        self._score = Scorer(
            self._model, seed=job.seed, keep=job.keep, columns=job.columns, key=job.key, recorder=recorder
        )  # fmt: skip

    def do(self, part: Part, told: Told) -> Done:
        """Do a part and write its record. Raises InputError for a bad row when there is no place for bad rows."""
        job, work, file = self._begun.job, self._work, self._begun.plan.files[part.file]
        rows, bad = 0, Counter[str]()
        with ExitStack() as stack:
            out = stack.enter_context(PartWriter(work.part(part.number, job.format), job.format))
            copy = stack.enter_context(PartWriter(work.copy(part.number), "parquet")) if self._copies else None
            aside = stack.enter_context(_Aside(work.bad(part.number)))
            lines = stack.enter_context(_Aside(work.lines(part.number))) if self._records else None
            for chunk in chunks(self._begun.plan, part):
                scored = self._score(chunk, part.file, _texts(file.format, chunk, file.partition))
                if scored.bad and job.bad_rows is None:
                    raise _refused(file.path, scored.bad[0])
                out.write(scored.table)
                if copy is not None:
                    copy.write(scored.table)
                if lines is not None:
                    lines.write(scored.lines)
                aside.write(b"".join(_line(file.path, one) for one in scored.bad))
                rows += scored.table.num_rows
                bad.update(one.code for one in scored.bad)
                told(scored.table.num_rows, len(scored.bad))
        done = Done(part.number, rows, dict(bad))
        work.commit(done)
        return done

    def close(self) -> None:
        self._model.close()


class _Aside:
    """Lines of a part in a file of its own; none where there is nothing to write."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writing = path.with_name(f".{path.name}")
        self._file: Any = None

    def __enter__(self) -> _Aside:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self._file is not None:
            self._file.close()
            settle(self._writing, self._path)

    def write(self, lines: bytes) -> None:
        if lines:
            if self._file is None:
                self._file = self._writing.open("wb")
            self._file.write(lines)


def _texts(format: str, chunk: Chunk, partition: dict[str, str]) -> frozenset[str]:
    """The columns in which nothing has a type."""
    return frozenset(chunk.table.column_names if format in ("csv", "tsv") else partition)


def _line(path: str, bad: BadRow) -> bytes:
    told = {"file": path, "row": bad.row, "code": bad.code, "reason": bad.reason, "values": bad.values}
    return msgspec.json.encode(told, enc_hook=str) + b"\n"


def _refused(path: str, bad: BadRow) -> InputError:
    return InputError(
        f"{path}, row {bad.row}: {bad.reason}. With --bad-rows FILE such rows go there and the others are scored", code=bad.code
    )
