"""The writing end of the log: append-only files of JSON lines, several a process, never shared.

A line is handed to the operating system before its answer leaves, so an answered prediction survives the death of the
process. While a segment is written its writer holds a lock on it, which the system lets go when the process ends, however it
ends: whoever can take the lock knows that nothing will ever be added. That is all there is between writers and compaction.
"""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

from salver.errors import LogUnavailable
from salver.log.locks import take

SEGMENT_BYTES = 64 * 2**20
SEGMENT_S = 3600.0


class SegmentWriter:
    """Appends lines to a segment in `folder` and starts another when it is full or old. With `sync`, to the disk itself."""

    def __init__(
        self, folder: Path, segment_bytes: int = SEGMENT_BYTES, segment_s: float = SEGMENT_S, sync: bool = False
    ) -> None:
        self.folder = folder
        self.bytes_written = 0
        self.failures = 0
        self.healthy = True  # whether the last write went well
        self.writing = False  # whether `append` is at it: for long, when the disk stalls
        self.hanging_s: float | None = None  # since when a write hangs, by time.monotonic, as whoever looks from outside says
        self.lines_dropped = 0  # never by this writer: what can't be written is refused
        self.queued_bytes = 0
        self._segment_bytes = segment_bytes
        self._segment_s = segment_s
        self._sync = sync
        self._name = secrets.token_hex(3)
        self._opened = 0
        self._file = -1
        self._left = 0
        self._until_s = 0.0
        self._size = 0
        self._torn = False

    @property
    def lag_s(self) -> float:
        """For how long the lines that are being written have waited."""
        since_s = self.hanging_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    def append(self, lines: bytes | bytearray) -> None:
        """Write whole lines (each ends in a newline). Raises LogUnavailable when they could not all be written."""
        self.writing = True
        try:
            if self._left <= 0 or time.monotonic() >= self._until_s:
                self._open()
            if self._torn:
                self._mend()
            self._write(lines)
        except OSError as error:
            self.failures += 1
            self.healthy = False
            raise LogUnavailable(f"the prediction log in {self.folder} can't be written: {error.strerror}") from error
        finally:
            self.writing = False

    def _write(self, lines: bytes | bytearray) -> None:
        size = len(lines)
        self._torn = True
        written = os.write(self._file, lines)
        while written < size:
            written += os.write(self._file, memoryview(lines)[written:])
        if self._sync:
            os.fdatasync(self._file)
        self._torn = False
        self._size += size
        self._left -= size
        self.bytes_written += size
        self.healthy = True

    def _mend(self) -> None:
        """Take back what a failed write left, for nobody was answered: the lines of a call are all there or none is."""
        os.ftruncate(self._file, self._size)
        self._torn = False

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file, self._left, self._torn = -1, 0, False

    def _open(self) -> None:
        self.close()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._opened += 1
        start = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}"
        name = f"{start}-{self._name}-{self._opened:06}.jsonl"  # in order also when several are opened in one second
        opening = self.folder / f".{name}"
        self._file = os.open(opening, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        take(self._file)
        opening.rename(self.folder / name)  # it is locked before anybody can see it
        if self._sync:
            sync_folder(self.folder)
        self._size, self._left = 0, self._segment_bytes
        self._until_s = time.monotonic() + self._segment_s


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive the loss of power."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
