"""The audit log: JSON lines of who changed or labelled what, and of who was refused. Never a secret, never data.

Each line is written by one append, so that any number of processes share a file. A file that is full is put aside under the
time of its closing, by whoever finds it so; the oldest go when there are too many.
"""

from __future__ import annotations

import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from salver.log.locks import held

logger = logging.getLogger("salver")

FOLDER = "audit"
FILE = "audit.jsonl"
_LOCK = ".lock"


class Entry(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One line. `who` is a key's name, a user of this machine, or empty for nobody known."""

    event: str
    at: str = ""
    who: str = ""
    what: str = ""
    model: str = ""
    address: str = ""
    status: int = 0
    code: str = ""
    count: int = 1
    why: str = ""


class Refusals:
    """Which refusals are listed one by one, so that nobody fills the log by being refused. Pure: entries in, entries out.

    At most `per_s` in a second; what is more is counted, and that count is an entry once the second is over.
    """

    def __init__(self, per_s: int) -> None:
        self._per_s = per_s
        self._second = -1
        self._listed = self._more = 0

    def note(self, entry: Entry, now_s: float) -> list[Entry]:
        """What to write when `entry` happened at `now_s`."""
        made = self.ended(now_s)
        if self._listed < self._per_s:
            self._listed += 1
            return [*made, entry]
        self._more += 1
        return made

    def ended(self, now_s: float) -> list[Entry]:
        """What to write when nothing happened, up to `now_s`."""
        if int(now_s) == self._second:
            return []
        made = [Entry(event="refused", count=self._more, why="more than are listed one by one")] if self._more else []
        self._second, self._listed, self._more = int(now_s), 0, 0
        return made


class Audit:
    """The audit log in a folder."""

    def __init__(self, folder: Path, file_bytes: int = 10 * 10**6, files: int = 10, refusals_per_s: int = 10) -> None:
        self.folder = folder
        self._file_bytes = file_bytes
        self._files = files
        self._refusals = Refusals(refusals_per_s)
        self._failed = False

    def write(self, *entries: Entry) -> None:
        """Append lines. When they can't be written it is said, once, in the server's own log; nobody is refused for that."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        lines = b"".join(msgspec.json.encode(msgspec.structs.replace(entry, at=at)) + b"\n" for entry in entries)
        if not lines:
            return
        try:
            size_bytes = self._append(lines)
            if size_bytes >= self._file_bytes:
                self._turn()
            self._failed = False
        except OSError as error:
            if not self._failed:
                logger.error("the audit log in %s can't be written: %s", self.folder, error.strerror)
            self._failed = True

    def refused(self, entry: Entry) -> None:
        """Note a refusal, one by one or counted with others."""
        self.write(*self._refusals.note(entry, time.monotonic()))

    def tick(self) -> None:
        """Write the count of refusals whose second is over."""
        self.write(*self._refusals.ended(time.monotonic()))

    def _append(self, lines: bytes) -> int:
        self.folder.mkdir(parents=True, exist_ok=True)
        file = os.open(self.folder / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, lines)
            return os.fstat(file).st_size
        finally:
            os.close(file)

    def _turn(self) -> None:
        """Put the file aside and begin another."""
        with held(self.folder / _LOCK) as is_ours:
            path = self.folder / FILE
            if not is_ours or path.stat().st_size < self._file_bytes:  # somebody else does it, or has
                return
            path.rename(self.folder / f"audit-{time.time_ns()}.jsonl")
            aside = sorted(self.folder.glob("audit-*.jsonl"))
            for old in aside[: max(len(aside) - self._files + 1, 0)]:
                old.unlink(missing_ok=True)
