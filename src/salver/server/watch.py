"""What a server looks at again and again beside serving: its connections, its keys, its certificate."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from salver.door.audit import Audit
from salver.door.keys import Kept, Keys
from salver.door.ring import Ring
from salver.errors import StoreError
from salver.server.guarded import LOOK_S, GuardedProtocol
from salver.server.tls import Certificate

logger = logging.getLogger("salver")


async def watch_connections(connections: Iterable[object], audit: Audit | None, certificate: Certificate | None) -> None:
    """Every second: whose client takes too long, what else was refused, whether the certificate's files changed."""
    clock = asyncio.get_running_loop().time
    while True:
        await asyncio.sleep(LOOK_S)
        now_s = clock()
        for connection in [*connections]:  # type: ignore[misc]
            if isinstance(connection, GuardedProtocol):
                connection.look(now_s)
        if audit:
            audit.tick()
        if certificate:
            await asyncio.to_thread(certificate.renew)


class KeyWatch:
    """Keeps a ring's keys those of the store, and says when they are others."""

    def __init__(self, keys: Keys, ring: Ring, on_change: Callable[[], None]) -> None:
        self._keys = keys
        self._ring = ring
        self._on_change = on_change
        self._kept: list[Kept] = []
        self._holding: frozenset[str] | None = None

    def read(self) -> None:
        """Read the store's keys, now. Raises StoreError."""
        self._take(self._keys.changed())

    async def follow(self, every_s: float) -> None:
        """Look again every `every_s`. While the store can't be reached, the keys that are known go on to hold."""
        reached = True
        while True:
            await asyncio.sleep(every_s)
            try:
                self._take(await asyncio.to_thread(self._keys.changed))
                reached = True
            except StoreError as error:
                if reached:
                    logger.error("the keys can't be read, those known go on to hold: %s", error.message)
                reached = False
                self._take(None)

    def _take(self, changed: list[Kept] | None) -> None:
        self._kept = self._kept if changed is None else changed
        now = datetime.now(UTC)
        holding = [kept.key for kept in self._kept if not kept.revoked and not kept.key.is_over(now)]
        ids = frozenset(key.id for key in holding)
        if changed is None and ids == self._holding:
            return
        self._holding = ids
        self._ring.hold(holding, ever=bool(self._kept))
        self._on_change()
