"""Which worker takes the next connection."""

from __future__ import annotations

import asyncio
import socket

from salver.server.accepting import SILENT_S, Acceptor, Tally


def test_whoever_has_more_than_another_is_ahead() -> None:
    tally = Tally(3)
    tally.say(0, 4, 100.0)
    assert not tally.is_ahead(0, 100.0)  # the others take no connections yet
    tally.say(1, 4, 100.0)
    assert not tally.is_ahead(0, 100.0)
    tally.say(1, 3, 100.0)
    assert tally.is_ahead(0, 100.0)
    assert not tally.is_ahead(1, 100.0)
    assert not tally.is_ahead(0, 100.1 + SILENT_S)  # nobody waits for one that hangs


def test_a_worker_that_is_ahead_takes_the_connection_when_nobody_else_does() -> None:
    async def run() -> int:
        taken: asyncio.Queue[socket.socket] = asyncio.Queue()
        tally = Tally(2)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            acceptor = Acceptor([listener], tally, 0, taken.put, lambda: 5)
            acceptor.start()
            tally.say(1, 0, asyncio.get_running_loop().time())
            with socket.create_connection(listener.getsockname()):
                (await asyncio.wait_for(taken.get(), 5)).close()
            acceptor.stop()
            with socket.create_connection(listener.getsockname()):
                await asyncio.sleep(0.05)
                return taken.qsize()

    assert asyncio.run(run()) == 0
