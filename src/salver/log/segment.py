"""The writing end of the log: one append-only file of JSON lines a process.

A line is handed to the operating system before its answer leaves, so an answered prediction survives the death of the
process. Nobody else writes to the file, so nothing is locked; a reader ignores a torn last line.
"""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

from salver.errors import LogUnavailable

SEGMENT_BYTES = 256 * 2**20


class SegmentWriter:
    """Appends lines to a segment in `folder` and starts another when it is full."""

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder = folder
        self.bytes_written = 0
        self.failures = 0
        self._segment_bytes = segment_bytes
        self._name = secrets.token_hex(3)
        self._opened = 0
        self._file = -1
        self._left = 0
        self._torn = False

    def append(self, lines: bytes | bytearray) -> None:
        """Write whole lines (each ends in a newline). Raises LogUnavailable when they could not all be written."""
        try:
            if self._left <= 0:
                self._open()
            if self._torn:
                os.write(self._file, b"\n")  # ends the half line that a full disk left
                self._torn = False
            self._write(lines)
        except OSError as error:
            self.failures += 1
            raise LogUnavailable(f"the prediction log in {self.folder} can't be written: {error.strerror}") from error

    def _write(self, lines: bytes | bytearray) -> None:
        written = os.write(self._file, lines)
        size = len(lines)
        while written < size:
            self._torn = True
            written += os.write(self._file, memoryview(lines)[written:])
        self._torn = False
        self._left -= size
        self.bytes_written += size

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file, self._left = -1, 0

    def _open(self) -> None:
        self.close()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._opened += 1
        start = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}"
        name = f"{start}-{self._name}-{self._opened:06}.jsonl"  # in order also when several are opened in one second
        self._file = os.open(self.folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        self._left = self._segment_bytes
