"""A file of JSON lines that grows, and one that is written to."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from salver.errors import ConfigError, Unreachable
from salver.stream.contract import Message, Outgoing
from salver.stream.gathering import Gathering
from salver.stream.places import Place

_LOOK_S = 0.02
_READ_BYTES = 2**20


class FileSource:
    """The lines of a file, from where the group has come to. One process a group reads it."""

    ended = False
    leaving = None

    def __init__(self, path: Path, group: str) -> None:
        if not path.is_file():
            raise ConfigError(f"no file at {path}")
        self.name = f"file:{path.absolute()}"
        self._lines = path.open("rb")
        self._mark = path.with_name(f".{path.name}.{group}.done")
        self._at = int(self._mark.read_text()) if self._mark.is_file() else 0
        self._rest = b""

    def take(self, most: int, wait_s: float) -> list[Message]:
        deadline_s = time.monotonic() + wait_s
        while b"\n" not in self._rest:
            self._lines.seek(self._at + len(self._rest))
            grown = self._lines.read(_READ_BYTES)
            self._rest += grown
            if not grown:
                if time.monotonic() >= deadline_s:
                    return []
                time.sleep(_LOOK_S)
        taken: list[Message] = []
        at = 0
        while len(taken) < most and (end := self._rest.find(b"\n", at)) >= 0:
            taken.append(Message(self._rest[at:end], "", self._at + at, None, [], self._at + end + 1))
            at = end + 1
        self._rest = self._rest[at:]
        self._at += at
        return taken

    def done(self, messages: Sequence[Message]) -> None:
        writing = self._mark.with_name(f"{self._mark.name}.{os.getpid()}")
        writing.write_text(str(messages[-1].token))
        writing.replace(self._mark)

    def lag(self) -> int | None:
        """Bytes are what is known of a file, not lines."""
        return None

    def close(self) -> None:
        self._lines.close()


class FileSink(Gathering):
    """Adds lines to a file; they are on the disk when `flush` returns."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.name = f"file:{path.absolute()}"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        os.ftruncate(self._file, _whole(self._file))
        os.lseek(self._file, 0, os.SEEK_END)

    def _send(self, messages: Sequence[Outgoing]) -> None:
        lines = memoryview(b"".join(message.value + b"\n" for message in messages))
        start = os.lseek(self._file, 0, os.SEEK_CUR)
        try:
            while lines:
                lines = lines[os.write(self._file, lines) :]
            os.fdatasync(self._file)
        except OSError as error:  # a full disk; what was written is written again with the rest
            os.ftruncate(self._file, start)
            os.lseek(self._file, start, os.SEEK_SET)
            raise Unreachable(f"{self.name} can't be written: {error.strerror}") from error

    def close(self) -> None:
        os.close(self._file)


def _whole(file: int) -> int:
    """How long a file is without the line that a killed process left half written."""
    at = os.fstat(file).st_size
    while at:
        start = max(0, at - _READ_BYTES)
        found = os.pread(file, at - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        at = start
    return 0


def source(at: Place) -> FileSource:
    return FileSource(Path(at.url).expanduser(), at.group)


def sink(at: Place) -> FileSink:
    return FileSink(Path(at.url).expanduser())
