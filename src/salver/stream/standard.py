"""Standard input and output: JSON lines. Nothing comes twice here, so what is lost with the process is lost."""

from __future__ import annotations

import os
import secrets
import select
import sys
from collections.abc import Sequence
from typing import BinaryIO

from salver.stream.contract import Message, Outgoing
from salver.stream.gathering import Gathering
from salver.stream.places import Place

_READ_BYTES = 2**20


class StandardSource:
    name = "-"
    leaving = None

    def __init__(self, file: int) -> None:
        self.ended = False
        self._file = file
        self._session = secrets.token_hex(8)  # line 7 of another run is another message
        self._number = 0
        self._rest = b""

    def take(self, most: int, wait_s: float) -> list[Message]:
        while b"\n" not in self._rest and not self.ended:
            if not select.select([self._file], [], [], wait_s)[0]:
                return []
            read = os.read(self._file, _READ_BYTES)
            self.ended = not read
            self._rest += read or (b"\n" if self._rest else b"")
        lines = self._rest.split(b"\n", most)
        self._rest = lines.pop()
        self.ended = self.ended and not self._rest
        taken = [Message(line, self._session, self._number + i, None, []) for i, line in enumerate(lines)]
        self._number += len(taken)
        return taken

    def done(self, messages: Sequence[Message]) -> None:
        pass

    def lag(self) -> int | None:
        return None

    def close(self) -> None:
        pass


class StandardSink(Gathering):
    name = "-"

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file

    def _send(self, messages: Sequence[Outgoing]) -> None:
        self._file.write(b"".join(message.value + b"\n" for message in messages))
        self._file.flush()

    def close(self) -> None:
        pass


def source(at: Place) -> StandardSource:
    return StandardSource(sys.stdin.fileno())


def sink(at: Place) -> StandardSink:
    return StandardSink(sys.stderr.buffer if at.options.get("error") else sys.stdout.buffer)
