"""What a job is, what it has done, and what is kept of it: plain records."""

from __future__ import annotations

from pathlib import Path

import msgspec

from salver.batch.ids import seed_of
from salver.batch.plan import Format, Plan

FORMAT = 1


class Job(msgspec.Struct, frozen=True):
    """What is asked. Two that are equal have the same output, row by row, ids too."""

    model: str
    version: int
    digest: str  # of the model's artifact
    input: str
    fingerprint: str  # of what the input holds
    output: str
    format: Format
    keep: tuple[str, ...] | None = None
    columns: tuple[str, ...] = ()
    key: str | None = None
    bad_rows: str | None = None

    @property
    def seed(self) -> int:
        """The upper half of the ids: that of the rows and the version, wherever the answers go."""
        return seed_of(self.digest, str(self.version), self.fingerprint)

    def difference(self, now: Job) -> str:
        """What is not as it was when this job began, for people; empty when all is."""
        if (self.model, self.version, self.digest) != (now.model, now.version, now.digest):
            return f"it was {self.model}@{self.version}, and now is {now.model}@{now.version}"
        if self.fingerprint != now.fingerprint or self.input != now.input:
            return "the input has changed since"
        changed = [name for name in self.__struct_fields__ if getattr(self, name) != getattr(now, name)]
        return f"it was asked for with another {', '.join(changed)}" if changed else ""


class Begun(msgspec.Struct, frozen=True):
    """A job on its way: how it is cut, and when it began (µs since 1970)."""

    job: Job
    plan: Plan
    ts: int
    format: int = FORMAT


class Done(msgspec.Struct, frozen=True):
    """A part that is finished; `bad` counts rows without a prediction by the code of what is wrong."""

    number: int
    rows: int
    bad: dict[str, int] = {}


class Manifest(msgspec.Struct, frozen=True):
    """A job that is finished. It lies beside its output, and makes the same job again nothing to do."""

    job: Job
    ts: int
    ended_ts: int
    rows: int
    bad: dict[str, int]
    parts: int
    format: int = FORMAT


class Result(msgspec.Struct, frozen=True):
    """What `salver.batch` did. `rows` have a prediction, `bad` (by code) have none; `seconds` are of this run."""

    model: str
    version: int
    output: str
    rows: int
    bad: dict[str, int]
    parts: int
    seconds: float
    rows_per_s: float
    ran: bool  # false when it was finished before
    resumed: int  # parts that an earlier run had finished


def encoded(record: msgspec.Struct) -> bytes:
    """A record as it is kept."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def write(path: Path, content: bytes) -> None:
    """A small file, whole or not at all, on the disk."""
    import os
    import secrets

    writing = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with writing.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    writing.replace(path)
