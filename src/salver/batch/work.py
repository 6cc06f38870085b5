"""The folder of a job on its way. A part is done when its record is there; whatever else a killed process left is written anew.

job.json             what is asked, and how it is cut
input/               what came from a database or standard input
parts/               the output, one file a part
bad/                 rows without a prediction
copy/                what the log reads where the output is nothing that it can read
lines/               what the log keeps where it keeps less than the output has
done/                a record for each part
"""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from salver.batch.job import Begun, Done, Job, encoded, write
from salver.batch.plan import Format
from salver.errors import ConfigError
from salver.log.locks import held

FOLDERS = ("parts", "bad", "copy", "lines", "done")


class Work:
    """A job's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        return f"<Work {self.folder}>"

    @contextmanager
    def mine(self) -> Generator[None]:
        """This process alone works here. Raises ConfigError when another does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with held(self.folder / "lock") as free:
            if not free:
                raise ConfigError(f"another process is at this job, in {self.folder}")
            yield

    @property
    def begun(self) -> Begun | None:
        """The job that was begun here."""
        try:
            return msgspec.json.decode((self.folder / "job.json").read_bytes(), type=Begun)
        except FileNotFoundError:
            return None

    def begin(self, begun: Begun) -> None:
        for name in FOLDERS:
            (self.folder / name).mkdir(exist_ok=True)
        write(self.folder / "job.json", encoded(begun))

    def clear(self) -> None:
        """Forget what was begun; the folder and its lock stay."""
        (self.folder / "job.json").unlink(missing_ok=True)
        for name in FOLDERS:
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def remove(self) -> None:
        """All is in its place. The record of the job goes last of all that counts."""
        (self.folder / "lock").unlink(missing_ok=True)
        for name in ("input", *FOLDERS):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def part(self, number: int, format: Format) -> Path:
        return self.folder / "parts" / f"part-{number:05}.{format}"

    def copy(self, number: int) -> Path:
        return self.folder / "copy" / f"part-{number:05}.parquet"

    def bad(self, number: int) -> Path:
        return self.folder / "bad" / f"{number:05}.jsonl"

    def lines(self, number: int) -> Path:
        return self.folder / "lines" / f"{number:05}.jsonl"

    def commit(self, done: Done) -> None:
        """The part is done: from now on nobody does it again."""
        write(self.folder / "done" / f"{done.number:05}.json", encoded(done))

    def done(self) -> dict[int, Done]:
        """The parts that are done, by number."""
        found = [msgspec.json.decode(path.read_bytes(), type=Done) for path in sorted((self.folder / "done").glob("*.json"))]
        return {one.number: one for one in found}


def unlike(before: Job, now: Job, where: Path | str) -> ConfigError:
    """The error for a job that is not the one that was begun, or finished, at a place."""
    return ConfigError(f"{where} is of another job: {before.difference(now)}; --overwrite does it anew")
