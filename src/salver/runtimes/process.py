"""One process of a model: started, asked, measured, ended."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import threading
from pathlib import Path

import msgspec

from salver.errors import PredictionFailed, Unavailable
from salver.frameworks.messages import Failed, ask, receive
from salver.types.signature import Columns

BROKEN = (EOFError, OSError, ValueError, TypeError, MemoryError, msgspec.MsgspecError)
"""What comes of a wire whose other end is gone, hangs or talks nonsense."""

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Process:
    """A model's process. Starting it takes as long as its library takes to be imported."""

    def __init__(self, command: list[str], arguments: list[str]) -> None:
        """`command` runs the host, `arguments` say what it serves. Raises OSError when there is no such command."""
        self._using = threading.Lock()  # the wire
        self._wire, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [*command, str(theirs.fileno()), *arguments], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
                )
            except BaseException:
                self._wire.close()
                raise

    def __repr__(self) -> str:
        return f"<Process {self.pid}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it is gone, to be asked between calls: it says nothing unasked, so all that can come then is the end."""
        with self._using:
            if self._wire.fileno() < 0:
                return True
            wire = select.poll()
            wire.register(self._wire, select.POLLIN)
            return bool(wire.poll(0))

    @property
    def size_bytes(self) -> int:
        """Memory that it holds now; 0 where the system does not say."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_bytes().split()[1]) * _PAGE_BYTES
        except (OSError, IndexError):
            return 0

    def require_ready(self) -> None:
        """Return when it has read its model. Raises Unavailable, and ends it, when it does not."""
        try:
            with self._using:
                said = receive(self._wire)
        except BROKEN as error:
            self.end()
            raise Unavailable("the model's process ended while it loaded the model; its own output says why") from error
        if isinstance(said, Failed):
            self.end()
            raise Unavailable(f"the model's process could not load the model: {said.kind}: {said.text}")

    def ask(self, columns: Columns, timeout_s: float | None) -> Columns:
        """Its answer. Raises PredictionFailed when the model raised; one of BROKEN means that the process is of no more use."""
        with self._using:
            self._wire.settimeout(timeout_s)
            ask(self._wire, columns)
            said = receive(self._wire)
        if isinstance(said, dict):
            return said
        raise PredictionFailed(f"the model raised {said.kind if isinstance(said, Failed) else type(said).__name__}")

    def wait(self) -> None:
        """Return when it has ended."""
        self._process.wait()

    def end(self) -> None:
        """It is gone when this returns, and whoever waited for its answer has learnt it. Any thread may do this at any time."""
        self._process.kill()
        self._process.wait()
        with self._using:
            self._wire.close()
