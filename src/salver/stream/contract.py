"""What a source and a sink are. Another broker is another module with both: `places.py` lists them.

All methods are called by one thread, one at a time. A broker that can't be reached is Unreachable, and the call is made again
after a while: so what was in doubt may be done twice, and never not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol


class Message(NamedTuple):
    """What came. `position` is its place in the source, the same whenever it is delivered; `token` is the source's own.

    Key and headers that are no UTF-8 hold their bytes as `text` has them, so that they leave as they came.
    """

    value: bytes
    position: str
    key: str | None
    headers: dict[str, str]
    token: Any


class Outgoing(NamedTuple):
    """What is sent. `id` is the same when it is sent again; brokers that can take away doubles get it."""

    value: bytes
    key: str | None
    headers: dict[str, str]
    id: str


class Source(Protocol):
    """Gives messages, those of one key in their order and to one process at a time."""

    name: str  # where the messages are, without passwords
    ended: bool  # whether no more will ever come

    def take(self, most: int, wait_s: float) -> list[Message]:
        """What is there, at most so many; when nothing is, what comes within `wait_s`. Raises Unreachable."""
        ...

    def done(self, messages: Sequence[Message]) -> None:
        """These, which are all that were taken last, need not come again. Raises Unreachable."""
        ...

    def lag(self) -> int | None:
        """How many messages are there that are not done; None where that is not known. Raises Unreachable."""
        ...

    def close(self) -> None:
        """Leave. What was taken and is not done comes again, here or elsewhere."""
        ...


class Sink(Protocol):
    """Takes messages."""

    name: str

    def put(self, messages: Sequence[Outgoing]) -> None:
        """Return when all are acknowledged, in this order. Raises Unreachable, and then any of them may be there."""
        ...

    def close(self) -> None: ...


def text(octets: bytes) -> str:
    """Bytes of a broker as text; what is no UTF-8 in them is kept in a way that `octets` undoes."""
    return octets.decode("utf-8", "surrogateescape")


def octets(text: str) -> bytes:
    """The bytes that `text` was made of."""
    return text.encode("utf-8", "surrogateescape")


def legible(text: str) -> str:
    """Text that JSON can hold: bytes that are no UTF-8 are written as `\\xff`."""
    return text if text.isascii() else octets(text).decode("utf-8", "backslashreplace")
