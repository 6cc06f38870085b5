"""The writer that the settings ask for: one that waits for the disk, or one that never does."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from pathlib import Path
from typing import Protocol

from salver.errors import LogUnavailable
from salver.log.blocks import rows_in
from salver.log.segment import SegmentWriter
from salver.log.settings import Settings

logger = logging.getLogger("salver")

ROOM_BYTES = 32 * 2**20
_TOLD_S = 60.0  # how often it is said that lines are dropped
_RETRY_S = 0.5


class Writer(Protocol):
    """Takes whole lines. The counts are read at any time."""

    folder: Path
    healthy: bool  # whether the last lines were written
    writing: bool  # whether a caller waits for the disk right now
    hanging_s: float | None  # since when a caller does, by time.monotonic; None where nobody has noticed
    lines_dropped: int
    queued_bytes: int

    @property
    def lag_s(self) -> float: ...
    @property
    def bytes_written(self) -> int: ...
    @property
    def failures(self) -> int: ...

    def append(self, lines: bytes | bytearray) -> None:
        """Raises LogUnavailable when they could not be written and predictions are to wait for that."""
        ...

    def close(self) -> None: ...


def open_writer(folder: Path, settings: Settings) -> Writer:
    """A writer for a log with these settings."""
    writer = SegmentWriter(folder, sync=settings.sync == "always")
    return DroppingWriter(writer) if settings.when_full == "drop" else writer


class DroppingWriter:
    """Predictions go on whatever the disk does: lines are written in a thread, and dropped and counted when they can't be.

    What waits takes at most `room_bytes`. So a prediction is answered before its line is written: the death of the process
    costs the lines that waited, a few milliseconds of them while the disk keeps up.
    """

    def __init__(self, writer: SegmentWriter, room_bytes: int = ROOM_BYTES) -> None:
        self.folder = writer.folder
        self.lines_dropped = 0
        self.queued_bytes = 0
        self.healthy = True
        self.writing = False  # nobody ever waits
        self.hanging_s: float | None = None
        self._oldest_s: float | None = None  # since when the first of the lines waits that are not yet written
        self._writer = writer
        self._room_bytes = room_bytes
        self._waiting: deque[bytes | bytearray] = deque()
        self._change = threading.Condition()
        self._closing = False
        self._told_s = -_TOLD_S
        self._thread = threading.Thread(target=self._work, name="salver-log", daemon=True)
        self._thread.start()

    @property
    def bytes_written(self) -> int:
        return self._writer.bytes_written

    @property
    def failures(self) -> int:
        return self._writer.failures

    @property
    def lag_s(self) -> float:
        """For how long the oldest line that is not yet written has waited."""
        oldest_s = self._oldest_s
        return 0.0 if oldest_s is None else time.monotonic() - oldest_s

    def append(self, lines: bytes | bytearray) -> None:
        """Leave lines to be written. Never waits for the disk and never raises."""
        with self._change:
            if self.queued_bytes + len(lines) <= self._room_bytes:
                self.queued_bytes += len(lines)
                if self._oldest_s is None:
                    self._oldest_s = time.monotonic()
                self._waiting.append(bytes(lines))
                self._change.notify()
                return
        self._drop(lines)

    def close(self, grace_s: float = 10.0) -> None:
        """Write what waits, for at most `grace_s`."""
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join(grace_s)
        if not self._thread.is_alive():
            self._writer.close()

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                lines = b"".join(self._waiting)
                self._waiting.clear()
                begun_s = time.monotonic()
            try:
                self._writer.append(lines)
                self.healthy = True
            except LogUnavailable:
                self._drop(lines)
                time.sleep(_RETRY_S)
            finally:
                with self._change:
                    self.queued_bytes -= len(lines)
                    # What came meanwhile came after this was taken.
                    self._oldest_s = begun_s if self._waiting else None

    def _drop(self, lines: bytes | bytearray) -> None:
        with self._change:
            self.lines_dropped += rows_in(lines)
            self.healthy = False
            tell = time.monotonic() >= self._told_s + _TOLD_S
            if tell:
                self._told_s = time.monotonic()
        if tell:
            logger.error(
                "the log in %s can't be written: %d predictions are not logged so far", self.folder, self.lines_dropped
            )
