"""The process that makes the pages: `python -m salver.dashboard.process LOG STORE`. It reads asks and answers pages.

It stands behind predictions (`nice`), is the first to go when memory is short, and ends when its server does. What takes long
is given up: a query that nobody waits for any more, or that took `DEADLINE_S`, is interrupted.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from salver.dashboard.messages import LENGTH, Ask, Cancel, Facts, Page, decode_message, framed
from salver.dashboard.turn import Turn

logger = logging.getLogger("salver")

_NICE = 16
"""A fortieth of a processor that predictions take whole (sched(7): each step of niceness is a quarter less). Whoever looks
because the machine is overloaded still gets an answer."""

_THREADS = 2
"""For pages of what is known already; as many again for those that ask the log, which may take long."""


class Desk:
    """Takes messages from a pipe, and answers into another."""

    def __init__(self, log: Path | None, store: str, answers: IO[bytes]) -> None:
        from salver.dashboard.pages import Pages

        self._pages = Pages(log, store)
        self._answers = answers
        self._writing = threading.Lock()
        self._threads = ThreadPoolExecutor(_THREADS, "salver-page")
        self._asking = ThreadPoolExecutor(_THREADS, "salver-asking")
        self._turns: dict[int, Turn] = {}

    def serve(self, asks: IO[bytes]) -> None:
        """Until there are none."""
        while head := asks.read(LENGTH.size):
            (size,) = LENGTH.unpack(head)
            self.hear(asks.read(size))

    def hear(self, data: bytes) -> None:
        """One message."""
        message = decode_message(data)
        if isinstance(message, Facts):
            self._pages.live.note(message)
        elif isinstance(message, Cancel):
            if turn := self._turns.get(message.id):
                turn.cancel()
        else:
            turn = self._turns[message.id] = Turn()
            (self._asking if asks_log(message) else self._threads).submit(self._answer, message, turn)

    def _answer(self, ask: Ask, turn: Turn) -> None:
        try:
            status, html = self._pages.page(ask, turn)
        except Exception:
            logger.exception("the page %s could not be made", ask.page)
            status, html = self._pages.broken(ask)
        finally:
            del self._turns[ask.id]
            turn.over()
        with self._writing:
            self._answers.write(framed(Page(ask.id, status, html.encode())))
            self._answers.flush()


def asks_log(ask: Ask) -> bool:
    """Whether that page is made of queries: it does not keep the others waiting."""
    parts = ask.page.split("/")[3:]
    return parts[:1] in (["predictions"], ["latency"], ["replay"]) or "from=" in ask.query


def main() -> int:
    if sys.platform == "linux":
        Path("/proc/self/oom_score_adj").write_text("1000")
    if hasattr(os, "nice"):
        os.nice(_NICE)
    log, store = sys.argv[1:]
    Desk(Path(log) if log else None, store, sys.stdout.buffer).serve(sys.stdin.buffer)
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # whatever is still being asked, nobody waits for it
