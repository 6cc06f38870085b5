"""What a source and a sink are. Another broker is another module with both: `places.py` lists them.

All methods are called by one thread, one at a time. A broker that can't be reached is Unreachable, and the call is made again
after a while: so what was in doubt may be done twice, and never not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

Headers = list[tuple[str, bytes | None]]
"""Names and values in their order; None where a broker has a name with nothing to it."""


class Message(msgspec.Struct, gc=False):
    """What came. `place` and `number` say where it lies in the source, the same whenever it is delivered.

    `number` is a whole number from 0 up where the source counts its messages. Key and headers are as they came: nobody promises
    that they are UTF-8. `token` is the source's own.
    """

    value: bytes
    place: str
    number: int | str
    key: bytes | None
    headers: Headers
    token: Any = None

    @property
    def position(self) -> str:
        return f"{self.place}/{self.number}" if self.place else str(self.number)


class Outgoing(msgspec.Struct, gc=False):
    """What is sent. `id` is the same when it is sent again; brokers that can take away doubles get it."""

    value: bytes
    key: bytes | None
    headers: Headers
    id: str


class Source(Protocol):
    """Gives messages, those of one key in their order and to one process at a time."""

    name: str  # where the messages are, without passwords
    ended: bool  # whether no more will ever come
    leaving: Callable[[], None] | None  # called before messages under way go to another process, so that they can be finished

    def take(self, most: int, wait_s: float) -> list[Message]:
        """What is there, at most so many; when nothing is, what comes within `wait_s`. Raises Unreachable."""
        ...

    def done(self, messages: Sequence[Message]) -> None:
        """These, all that one call took, need not come again. Those of earlier calls are done. Raises Unreachable."""
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
    ahead: bool  # whether what was put is on its way before `flush`

    def put(self, messages: Sequence[Outgoing]) -> None:
        """Take these, to be sent after those that were put before; that may begin at once, and is not waited for."""
        ...

    def flush(self) -> None:
        """Return when all that were put are acknowledged, in their order. Raises Unreachable: then any of them may be there."""
        ...

    def close(self) -> None: ...


def text(octets: bytes) -> str:
    """Bytes of a broker as text; what is no UTF-8 in them is kept in a way that `octets` undoes."""
    return octets.decode("utf-8", "surrogateescape")


def octets(text: str) -> bytes:
    """The bytes that `text` was made of."""
    return text.encode("utf-8", "surrogateescape")


def legible(octets: bytes) -> str:
    """Text that JSON can hold: bytes that are no UTF-8 are written as `\\xff`."""
    return octets.decode("utf-8", "backslashreplace")
