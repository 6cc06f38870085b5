"""One page that is being made: whether anybody still waits for it, and what is to be interrupted when nobody does."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from salver.errors import SalverError

if TYPE_CHECKING:
    import duckdb

DEADLINE_S = 10.0
"""So long may the queries of a page take."""


class TooLong(SalverError):
    """A query was given up."""

    code = "deadline_exceeded"


class Turn:
    """Its deadline begins with its first query."""

    def __init__(self, deadline_s: float = DEADLINE_S) -> None:
        self.ended = ""  # why its queries were given up
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._timer: threading.Timer | None = None

    def cancel(self, why: str = "nobody waits for it any more") -> None:
        """Give up what is being asked, and what would be."""
        with self._lock:
            self.ended = self.ended or why
            if self._connection is not None:
                self._connection.interrupt()

    def over(self) -> None:
        """The page is made."""
        if self._timer:
            self._timer.cancel()

    @contextmanager
    def asking(self, connection: duckdb.DuckDBPyConnection) -> Generator[None]:
        """While queries run on a connection. Raises TooLong for one that was interrupted."""
        if self._timer is None:
            self._timer = threading.Timer(self._deadline_s, self.cancel, ("it took too long",))
            self._timer.daemon = True
            self._timer.start()
        with self._lock:
            self._connection = connection
        try:
            self._require()
            yield
        except Exception:
            self._require()
            raise
        finally:
            with self._lock:
                self._connection = None

    def _require(self) -> None:
        if self.ended:
            raise TooLong(f"the log was not searched to the end: {self.ended}. Ask for a shorter time")
