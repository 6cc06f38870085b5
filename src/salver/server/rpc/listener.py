"""The gRPC port of a server: started beside uvicorn, on the same event loop and the same engine."""

from __future__ import annotations

import socket

from grpclib.health.check import ServiceStatus
from grpclib.health.service import OVERALL, Health
from grpclib.health.v1 import health_pb2
from grpclib.reflection.service import ServerReflection
from grpclib.reflection.v1 import reflection_pb2

from salver.engine.engine import Engine
from salver.server.entrance import Entrance
from salver.server.rpc.hot import HotInfer
from salver.server.rpc.messages import pool
from salver.server.rpc.port import Port
from salver.server.rpc.service import Service
from salver.server.rpc.underway import Underway

_GRACE_S = 30.0


class Listener:
    """Sockets that speak gRPC: inference, health and reflection."""

    def __init__(self, engine: Engine, entrance: Entrance, listeners: list[socket.socket]) -> None:
        self._engine = engine
        self._entrance = entrance
        self._listeners = listeners

    async def start(self) -> None:
        """Answer from now on. The sockets stay open: other workers may share them."""
        self._underway, self._status = Underway(), ServiceStatus()
        service = Service(self._engine, self._entrance, self._underway)
        hot = HotInfer(self._entrance.codecs, self._entrance.gate, self._underway)
        self._engine.on_change.append(self._tell)
        self._tell()
        health = Health({OVERALL: [self._status], service: [self._status]})
        described = pool()
        for file in (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
            described.AddSerializedFile(file.serialized_pb)
        certificate = self._entrance.certificate
        handlers = ServerReflection.extend([service, health], pool=described)
        self._servers = [Port(handlers, hot) for _ in self._listeners]
        for server, listener in zip(self._servers, self._listeners, strict=True):
            await server.start(sock=listener.dup(), ssl=certificate.context if certificate else None)

    async def stop(self) -> None:
        """Take nothing new, finish what is in flight, and close the connections."""
        self._status.set(False)
        await self._underway.drain(_GRACE_S)
        for server in self._servers:
            server.close()
        for server in self._servers:
            await server.wait_closed()

    def _tell(self) -> None:
        self._status.set(self._engine.ready)
