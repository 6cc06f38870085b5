"""A server process: uvicorn with our protocol class and app, on one event loop."""

from __future__ import annotations

import asyncio
import functools
import gc
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn

from salver.engine.engine import Engine
from salver.errors import ConfigError
from salver.log.writer import Writer
from salver.server.app import make_app
from salver.server.entrance import Entrance
from salver.server.hot import HotProtocol

if TYPE_CHECKING:
    from salver.server.rpc.listener import Listener

_OTHER_FILES = 256  # open files that are no connections
_GOODBYE_S = 2.0  # how long a TLS connection waits for the other side's goodbye
_LOOK_S = 0.1  # how often a server that is still loading looks whether it is told to stop


class Server(uvicorn.Server):
    """Listens first, so that health is answered while models load; then loads them."""

    def __init__(
        self,
        engine: Engine,
        log: Writer | None,
        host: str,
        port: int,
        on_listening: Callable[[Server], Awaitable[None]],
        entrance: Entrance | None = None,
        grpc_port: int | None = None,
    ) -> None:
        self._entrance = entrance = entrance or Entrance(engine)
        config = uvicorn.Config(
            make_app(engine, entrance, log),
            host=host,
            port=port,
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
        self._on_listening = on_listening
        self._grpc = _listener(engine, entrance, host, grpc_port) if grpc_port is not None else None
        self._beside: set[asyncio.Task[None]] = set()
        self.failure: Exception | None = None

    async def startup(self, sockets: Any = None) -> None:
        self._allow_connections()
        self._bound_handshakes()
        await super().startup(sockets)
        if self.should_exit:
            return
        for watch in self._entrance.watches(self.server_state.connections):
            self.also(watch)
        if self._grpc:
            await self._grpc.start()
        loading = asyncio.ensure_future(self._on_listening(self))
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
            return
        # What is loaded stays: the collector need not walk it again while somebody waits for an answer.
        gc.freeze()

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
        if self._entrance.certificate:
            loop: Any = asyncio.get_running_loop()
            limit_s = self._entrance.settings.limits.handshake_s
            bounds = {"ssl_handshake_timeout": limit_s, "ssl_shutdown_timeout": _GOODBYE_S}
            loop.create_server = functools.partial(loop.create_server, **bounds)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        with super().capture_signals():
            yield
            # uvicorn would raise them once more and die of them; being told to stop and stopping is success.
            self._captured_signals.clear()

    def also(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this beside serving, until the server stops."""
        task = asyncio.get_running_loop().create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def shutdown(self, sockets: Any = None) -> None:
        if self._grpc:
            await self._grpc.stop()
        await super().shutdown(sockets)
        await self._engine.close()
        for task in self._beside:
            task.cancel()


def _listener(engine: Engine, entrance: Entrance, host: str, port: int) -> Listener:
    try:
        from salver.server.rpc.listener import Listener
    except ModuleNotFoundError as error:
        raise ConfigError(f"--grpc-port needs {error.name}: pip install 'salver[grpc]'") from error
    return Listener(engine, entrance, host, port)
