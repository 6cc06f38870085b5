"""Sinks that send all they were given in one go, when they are told to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from salver.stream.contract import Outgoing


class Gathering(ABC):
    """What was put is sent, and sent again, until it is acknowledged."""

    ahead = False

    def __init__(self) -> None:
        self._gathered: list[Outgoing] = []

    def put(self, messages: Sequence[Outgoing]) -> None:
        self._gathered += messages

    def flush(self) -> None:
        if self._gathered:
            self._send(self._gathered)
            self._gathered = []

    @abstractmethod
    def _send(self, messages: Sequence[Outgoing]) -> None:
        """Return when all are acknowledged, in this order. Raises Unreachable, and then any of them may be there."""
