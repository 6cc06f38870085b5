"""The calls that are being answered, and the end of taking more."""

from __future__ import annotations

import asyncio
import logging

logger = logging.getLogger("salver")


class Underway:
    """Counts them, so that a server that stops can wait for the last."""

    def __init__(self) -> None:
        self.draining = False  # what comes now is refused
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def begun(self) -> None:
        self._calls += 1
        self._idle.clear()

    def ended(self) -> None:
        self._calls -= 1
        if not self._calls:
            self._idle.set()

    async def drain(self, grace_s: float) -> None:
        """Take nothing new, and wait for what is in flight."""
        self.draining = True
        try:
            await asyncio.wait_for(self._idle.wait(), grace_s)
        except TimeoutError:
            logger.warning("%d gRPC calls were not answered within %g s", self._calls, grace_s)
