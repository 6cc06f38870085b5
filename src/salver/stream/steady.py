"""Calls to a broker, made again until they come to something."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from salver.errors import LogUnavailable, Unreachable
from salver.runtimes.restarts import Restarts
from salver.stream.counts import Counts

logger = logging.getLogger("salver")

SHORTEST_S, LONGEST_S = 0.1, 10.0  # between two tries
DRAIN_S = 15.0  # after it is told to stop, for what is under way
_Done = TypeVar("_Done")


class Stopped(Exception):
    """It was told to stop, and what is under way can't be finished: it comes again."""


class Steady:
    """Makes a call again, with longer and longer waits, until it is no longer Unreachable."""

    def __init__(self, counts: Counts, stop: threading.Event) -> None:
        self._counts = counts
        self._stop = stop

    def call(self, side: str, ask: Callable[[], _Done]) -> _Done:
        """What `ask` gives. Raises Stopped when it is told to stop and that does not come to be soon."""
        waits = Restarts(longest_s=LONGEST_S)
        give_up_s = float("inf")
        while True:
            try:
                done = ask()
                self._counts.waiting[side] = 0
                return done
            except (Unreachable, LogUnavailable) as error:
                self._counts.retries[side] += 1
                if not self._counts.waiting[side]:
                    logger.warning("%s: %s; tried again until it can be", side, error.message)
                self._counts.waiting[side] = 1
            now_s = time.monotonic()
            if self._stop.is_set():
                give_up_s = min(give_up_s, now_s + DRAIN_S)
                if now_s >= give_up_s:
                    raise Stopped
                time.sleep(SHORTEST_S)
            else:
                self._stop.wait(max(waits.ended(now_s), SHORTEST_S))
