"""Answers in the event loop's place while that hangs in a write to the log.

A line is written by the event loop itself, which costs least; but a disk that stalls does not give it back. A thread notices,
and takes what connects meanwhile: health, metrics and all else that only looks is answered as ever, predictions are refused at
once. When the write returns, the loop goes on, and the thread is quiet. What was connected before waits for the loop.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from salver.errors import LogUnavailable
from salver.log.writer import Writer
from salver.server.problems import MEDIA_TYPE, headers_of, problem, status_of

logger = logging.getLogger("salver")

LOOK_S = 0.05
STALL_S = 0.25
LEAVE_S = 1.0
_CONNECTIONS = 256  # more are refused: memory stays as it is however many come


class Standby:
    """Watches over one event loop's writes to the log. `app` is the server's own."""

    def __init__(self, app: Any, log: Writer, sockets: Sequence[socket.socket], tls: Any = None) -> None:
        self._app = app
        self._log = log
        self._sockets = [one.dup() for one in sockets]
        self._tls = tls
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="salver-standby", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more, and listen no more."""
        self._stopped.set()
        self._thread.join(2 * LOOK_S)

    def _watch(self) -> None:
        stuck_s, before = 0.0, -1
        while not self._stopped.wait(LOOK_S):
            now = self._ended()
            stuck_s = stuck_s + LOOK_S if self._log.writing and now == before else 0.0
            before = now
            if stuck_s >= STALL_S:
                self._log.healthy = False  # the write that returns says otherwise
                self._log.hanging_s = time.monotonic() - stuck_s
                logger.error("the log in %s does not take a write: predictions wait or are refused", self._log.folder)
                asyncio.run(self._stand_in(now))
                self._log.hanging_s = None
                logger.warning("the log in %s takes writes again", self._log.folder)
        for one in self._sockets:
            one.close()

    def _ended(self) -> int:
        """Changes with every write that ends, however it ends."""
        return self._log.bytes_written + self._log.failures

    async def _stand_in(self, hanging: int) -> None:
        """Answer new connections until the write that hangs has returned."""
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            proxy_headers=False,
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            limit_concurrency=_CONNECTIONS,
        )
        config.load()
        state = ServerState()
        loop = asyncio.get_running_loop()

        def protocol() -> asyncio.Protocol:
            return HttpToolsProtocol(config=config, server_state=state, app_state={})

        servers = [
            await loop.create_server(protocol, sock=one.dup(), ssl=self._tls, backlog=config.backlog) for one in self._sockets
        ]
        while self._log.writing and self._ended() == hanging and not self._stopped.is_set():
            await asyncio.sleep(LOOK_S)
        for server in servers:
            server.close()
        await self._leave(state)
        if state.tasks:
            await asyncio.wait(state.tasks, timeout=1.0)

    async def _leave(self, state: ServerState) -> None:
        """Answer those that have just connected: each answer is the last of its connection."""
        until_s = time.monotonic() + LEAVE_S
        while state.connections and time.monotonic() < until_s and not self._stopped.is_set():
            await asyncio.sleep(LOOK_S)
        for connection in list(state.connections):
            connection.shutdown()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        """What only looks goes to the app; an answer is the last of its connection: clients go back to the loop."""

        async def last(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
            await send(message)

        if scope["method"] in ("GET", "HEAD") and scope["path"] != "/health/ready":
            await self._app(scope, receive, last)
            return
        error = LogUnavailable("the prediction log does not take a write, so nothing is answered until it does")
        headers = [(b"content-type", MEDIA_TYPE.encode())]
        headers += [(name.encode(), value.encode()) for name, value in headers_of(error).items()]
        body = problem(error)
        headers.append((b"content-length", str(len(body)).encode()))
        await last({"type": "http.response.start", "status": status_of(error), "headers": headers})
        await send({"type": "http.response.body", "body": body})
