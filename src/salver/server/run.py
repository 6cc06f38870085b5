"""A server process: uvicorn with our protocol class and app, on one event loop."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn

from salver.engine.engine import Engine
from salver.errors import ConfigError
from salver.log.writer import Writer
from salver.server.accepting import Acceptor
from salver.server.app import make_app
from salver.server.entrance import Entrance
from salver.server.hot import HotProtocol
from salver.server.standby import Standby
from salver.server.workers import BEAT_S, STOP, Worker, leave_with_parent

if TYPE_CHECKING:
    from salver.server.rpc.listener import Listener

_OTHER_FILES = 256  # open files that are no connections
_GOODBYE_S = 2.0  # how long a TLS connection waits for the other side's goodbye
_LEAVE_S = 0.02  # how often a server that stops looks whether everybody is gone
_LOOK_S = 0.1  # how often a server that is still loading looks whether it is told to stop


class Server(uvicorn.Server):
    """Listens and loads models: health is answered meanwhile."""

    def __init__(
        self,
        engine: Engine,
        log: Writer | None,
        listeners: list[socket.socket],
        load: Callable[[Server], Awaitable[None]],
        entrance: Entrance | None = None,
        grpc_listeners: list[socket.socket] | None = None,
        worker: Worker | None = None,
    ) -> None:
        self._entrance = entrance = entrance or Entrance(engine)
        config = uvicorn.Config(
            make_app(engine, entrance, log, worker),
            http=functools.partial(HotProtocol, entrance.routes),  # type: ignore[arg-type]
            loop="auto",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=entrance.settings.limits.idle_s,  # type: ignore[arg-type]
            timeout_graceful_shutdown=30,
        )
        config.load()
        config.ssl = entrance.certificate.context if entrance.certificate else None
        super().__init__(config)
        self._engine = engine
        if worker is not None:
            engine.others_ready = worker.all_ready
        self._grpc = _rpc(engine, entrance, grpc_listeners) if grpc_listeners else None
        self._listeners = listeners
        self._worker = worker
        self._acceptor: Acceptor | None = None
        self._loads = load
        self._log = log
        self._standby: Standby | None = None
        self._beside: set[asyncio.Task[None]] = set()
        self.failure: Exception | None = None

    def run(self, sockets: Any = None) -> None:
        """Serve until told to stop. The listeners are closed after that."""
        super().run([one.dup() for one in self._listeners])

    async def startup(self, sockets: Any = None) -> None:
        """Listen, then load; but load first where other workers answer meanwhile."""
        if self._worker is not None:
            self.also(self._worker.beat(self._engine))
            self.also(leave_with_parent(self))
        if self._worker is None or not self._worker.replaces:
            await self._listen(sockets)
            await self._load()
        else:
            await self._load()
            await self._listen(sockets)
        # What is loaded stays: the collector need not walk it again while somebody waits for an answer.
        gc.freeze()
        gc.enable()

    async def _listen(self, sockets: Any) -> None:
        if self.should_exit:
            return
        self._allow_connections()
        if self._worker is None:
            self._bound_handshakes()
            await super().startup(sockets)
        else:
            await super().startup([])  # uvicorn makes what a connection needs, and listens to nothing
            self._accept(self._worker)
        if self._log:
            self._standby = Standby(self.config.loaded_app, self._log, self._listeners, self.config.ssl)
        for watch in self._entrance.watches(self.server_state.connections):
            self.also(watch)
        if self._grpc:
            await self._grpc.start()

    def _accept(self, worker: Worker) -> None:
        """Share the connections with the other workers."""
        connections, guard = self.server_state.connections, self._entrance.routes.guard
        acceptor = Acceptor(self._listeners, worker.tally, worker.place, self._serve_accepted, lambda: len(connections))
        guard.on_close.append(acceptor.say)
        acceptor.start()
        self._acceptor = acceptor

        async def go_on_saying() -> None:
            while True:
                await asyncio.sleep(BEAT_S)
                acceptor.say()

        self.also(go_on_saying())

    async def _serve_accepted(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop: Any = asyncio.get_running_loop()
        # What fails here is the client's: it is gone, or its TLS handshake failed or took too long.
        with suppress(OSError, TimeoutError):
            await loop.connect_accepted_socket(self._connection, accepted, ssl=self.config.ssl, **self._handshake())

    def _connection(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    async def _load(self) -> None:
        if self.should_exit:
            return
        loading = asyncio.ensure_future(self._loads(self))
        while not loading.done():
            await asyncio.wait({loading}, timeout=_LOOK_S)
            if self.should_exit:
                loading.cancel()
        try:
            await loading
        except asyncio.CancelledError:
            return
        except Exception as error:
            self.failure = error
            self.should_exit = True

    def _allow_connections(self) -> None:
        """As many open files as there may be connections, where the system lets us."""
        if sys.platform != "win32":
            import resource

            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            wanted = self._entrance.settings.limits.connections + _OTHER_FILES
            if hard != resource.RLIM_INFINITY:
                wanted = min(wanted, hard)
            if soft != resource.RLIM_INFINITY and soft < wanted:
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

    def _bound_handshakes(self) -> None:
        # uvicorn has no word for these, and the event loop's own, a minute and half of one, are long for who says nothing.
        loop: Any = asyncio.get_running_loop()
        loop.create_server = functools.partial(loop.create_server, **self._handshake())

    def _handshake(self) -> dict[str, float]:
        if not self._entrance.certificate:
            return {}
        return {
            "ssl_handshake_timeout": self._entrance.settings.limits.handshake_s,
            "ssl_shutdown_timeout": _GOODBYE_S,
        }

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        with super().capture_signals():
            if self._worker is not None:
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor hears it and sends SIGTERM
                signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP)  # which may have come while this process began
            yield
            # uvicorn would raise them once more and die of them; being told to stop and stopping is success.
            self._captured_signals.clear()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Told to stop: first, finish what is there; told again, at once. What was answered is in the log either way."""
        if self.should_exit:
            os._exit(128 + sig)
        super().handle_exit(sig, frame)

    def also(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this beside serving, until the server stops."""
        task = asyncio.get_running_loop().create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    def _stop_listening(self, sockets: Sequence[socket.socket]) -> set[asyncio.Task[None]]:
        """Take what has connected, and nothing after that. Returns the connections that are being made."""
        self._entrance.routes.guard.leaving = True
        if self._standby:
            self._standby.close()
        if self._acceptor:
            self._acceptor.stop()
        for server in self.servers:
            server.close()
        begun: set[asyncio.Task[None]] = set()
        for listener in self._listeners:
            with suppress(OSError):  # nobody waits any more
                while True:
                    begun.add(asyncio.ensure_future(self._serve_accepted(listener.accept()[0])))
        for one in [*self._listeners, *sockets]:
            one.close()
        return begun

    async def _leave(self, begun: set[asyncio.Task[None]]) -> None:
        """Let clients go with their next answer: to close what is idle at once would lose what one has just sent."""
        connections: set[Any] = self.server_state.connections
        for connection in [*connections]:
            connection.leave()
        clock = asyncio.get_running_loop().time
        until_s = clock() + self._entrance.settings.limits.grace_s
        if begun:
            await asyncio.wait(begun, timeout=until_s - clock())
        while connections and clock() < until_s:
            await asyncio.sleep(_LEAVE_S)

    async def shutdown(self, sockets: Any = None) -> None:
        self._engine.leaving = True
        begun = self._stop_listening(sockets)
        await asyncio.gather(self._leave(begun), *([self._grpc.stop()] if self._grpc else []))
        await super().shutdown(sockets)
        await self._engine.close()
        for task in self._beside:
            task.cancel()


def _rpc(engine: Engine, entrance: Entrance, listeners: list[socket.socket]) -> Listener:
    try:
        from salver.server.rpc.listener import Listener
    except ModuleNotFoundError as error:
        raise ConfigError(f"--grpc-port needs {error.name}: pip install 'salver[grpc]'") from error
    return Listener(engine, entrance, listeners)
