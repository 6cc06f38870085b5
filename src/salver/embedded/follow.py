"""Following an alias: a thread that looks where it points, and wakes the version it moves to beside the one that answers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from salver.errors import SalverError

if TYPE_CHECKING:
    from salver.embedded.model import Awake

logger = logging.getLogger("salver")


class Follower:
    """Asks `resolve` every `every_s` seconds; a version that can't be woken is told to the log once and not tried again."""

    def __init__(self, resolve: Callable[[], int], fetch: Callable[[int], Awake], every_s: float) -> None:
        self._resolve = resolve
        self._fetch = fetch
        self._every_s = every_s
        self._stopped = threading.Event()
        self._failed: int | None = None
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<Follower every {self._every_s} s>"

    def start(self, version: int, take_over: Callable[[Awake], None]) -> None:
        """Follow from `version` on; `take_over` gets each version that is awake."""
        self._thread = threading.Thread(target=self._run, args=(version, take_over), name="salver-follow", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns when no version will take over any more."""
        self._stopped.set()
        if self._thread:
            self._thread.join()

    def _run(self, version: int, take_over: Callable[[Awake], None]) -> None:
        while not self._stopped.wait(self._every_s):
            try:
                version = self._step(version, take_over)
            except SalverError as error:
                logger.warning("version %s goes on answering: %s", version, error.message)

    def _step(self, version: int, take_over: Callable[[Awake], None]) -> int:
        wanted = self._resolve()
        if wanted in (version, self._failed):
            return version
        try:
            awake = self._fetch(wanted)
        except SalverError:
            self._failed = wanted
            raise
        self._failed = None
        if self._stopped.is_set():
            awake.model.close()
            return version
        take_over(awake)
        return wanted
