"""What brokers with asyncio clients have in common: a connection that is made anew when it is needed and broken."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Any, TypeVar

from salver.errors import Unreachable
from salver.stream.eventloop import EventLoop

_Answer = TypeVar("_Answer")


class Peer(ABC):
    """One side of a stream. Raises ConfigError or Unreachable when it can't be connected at first."""

    def __init__(self, name: str, url: str, thread: str) -> None:
        self.name = name
        self._url = url
        self._loop = EventLoop(thread)
        try:
            self._ask(self._linked())
        except BaseException:
            self._loop.close()
            raise

    def close(self) -> None:
        try:
            self._ask(self._end())
        except Unreachable:
            pass  # the other side sees that it is gone
        finally:
            self._loop.close()

    @abstractmethod
    async def _linked(self) -> Any:
        """The connection, made when there is none that lives."""

    @abstractmethod
    async def _end(self) -> None:
        """End the connection, if there is one."""

    @abstractmethod
    def _ask(self, question: Coroutine[Any, Any, _Answer]) -> _Answer:
        """What a coroutine answers. What the client library raises comes as ConfigError or Unreachable."""
