"""How workers share the connections to one socket: the next one goes to whoever has the fewest.

An event loop that accepts by itself takes all that wait at once, so one worker may get every connection and another none. Here
a worker takes one a turn, and while another has fewer it leaves it the next one for a moment. It is only a moment, because the
other may be busy.
"""

from __future__ import annotations

import asyncio
import logging
import mmap
import socket
import time
from collections.abc import Awaitable, Callable, Sequence

logger = logging.getLogger("salver")

PATIENCE_S = 0.02
"""How long a connection is left to a worker that has fewer."""
SILENT_S = 1.0
"""A worker that has said nothing for so long is not waited for."""
_FULL_S = 1.0  # how long nothing is accepted when the system has no room for it


class Tally:
    """How many connections each worker has, in memory that they share. It must be made before they are forked."""

    def __init__(self, workers: int) -> None:
        # Two numbers for each: its connections, and when it said so. Nobody else writes them.
        self._cells = memoryview(mmap.mmap(-1, 16 * workers)).cast("d")

    def say(self, place: int, connections: int, now_s: float) -> None:
        """A worker that takes connections has so many now."""
        self._cells[2 * place] = connections
        self._cells[2 * place + 1] = now_s

    def is_ahead(self, place: int, now_s: float) -> bool:
        """Whether another that takes connections has fewer."""
        cells = self._cells
        return any(
            cells[at] < cells[2 * place] and now_s - cells[at + 1] < SILENT_S
            for at in range(0, len(cells), 2)
            if at != 2 * place
        )


class Acceptor:
    """Takes a worker's share of the connections."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        tally: Tally,
        place: int,
        serve: Callable[[socket.socket], Awaitable[None]],
        serving: Callable[[], int],
    ) -> None:
        """`serve` makes a connection of what was accepted; `serving` says how many there are."""
        self._listeners = listeners
        self._tally = tally
        self._place = place
        self._serve = serve
        self._serving = serving
        self._begun: set[asyncio.Future[None]] = set()  # accepted, and no connection yet: a TLS handshake
        self._resting: dict[socket.socket, asyncio.TimerHandle] = {}

    def start(self) -> None:
        """Take connections from now on."""
        self.say()
        for listener in self._listeners:
            self._watch(listener)

    def stop(self) -> None:
        """Take no more."""
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            loop.remove_reader(listener)
        for timer in self._resting.values():
            timer.cancel()

    def say(self) -> None:
        """Let the others know how many there are. To be called when one is gone, and now and then as a sign of life."""
        self._tally.say(self._place, self._serving() + len(self._begun), time.monotonic())

    def _watch(self, listener: socket.socket) -> None:
        asyncio.get_running_loop().add_reader(listener, self._one_waits, listener)

    def _one_waits(self, listener: socket.socket) -> None:
        if self._tally.is_ahead(self._place, time.monotonic()):
            self._rest(listener, PATIENCE_S)
        else:
            self._take(listener)

    def _rest(self, listener: socket.socket, rest_s: float) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener)
        self._resting[listener] = loop.call_later(rest_s, self._rested, listener)

    def _rested(self, listener: socket.socket) -> None:
        del self._resting[listener]
        self._watch(listener)
        self._take(listener)

    def _take(self, listener: socket.socket) -> None:
        try:
            accepted, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another worker was faster, or the client is gone
        except OSError as error:
            logger.error("no connection can be accepted: %s", error.strerror)
            self._rest(listener, _FULL_S)
            return
        beginning = asyncio.ensure_future(self._serve(accepted))
        self._begun.add(beginning)
        beginning.add_done_callback(self._has_begun)
        self.say()

    def _has_begun(self, beginning: asyncio.Future[None]) -> None:
        self._begun.discard(beginning)
        self.say()
