"""Brokers of our own, gone when the test is over: one class each, all of the same shape, so that one set of tests holds all.

They can be killed and started again. Messages are put in and read by the brokers' own clients, with nothing of ours between.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol

PARTITIONS = 4
KINDS = ("redis", "kafka", "nats", "amqp")


class Sent(NamedTuple):
    """A message as a client of the broker writes and reads it."""

    key: str
    value: bytes
    headers: dict[str, str]
    id: str = ""  # the broker's own mark against doubles, where it has one


class Broker(Protocol):
    """A broker that runs."""

    def start(self) -> None:
        """Return when it answers; what it had before is there again."""
        ...

    def kill(self) -> None:
        """At once, as a machine that fails."""
        ...

    def end(self) -> None: ...

    def source(self, topic: str, divided: bool = False) -> str:
        """The URL of a topic; divided, of its partitions."""
        ...

    def sink(self, topic: str) -> str: ...

    def fill(self, topic: str, messages: Iterable[Sent], divided: bool = False) -> None:
        """Put messages in, in their order; divided, those of a key in one partition."""
        ...

    def read(self, topic: str) -> list[Sent]:
        """What came since the last call, in its order."""
        ...


@contextmanager
def broker(kind: str) -> Iterator[Broker]:
    """Start one."""
    folder = Path(tempfile.mkdtemp(prefix=f"salver-{kind}-"))
    server: Broker = import_module(f"{__name__}.{kind}").Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.end()
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(holds: Callable[[], object], seconds: float = 60.0) -> None:
    deadline_s = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline_s, "it did not come to be"
        time.sleep(0.01)


def partition_of(message: Sent) -> int:
    return int(message.key[1:]) % PARTITIONS
