"""The gRPC port of a server: started beside uvicorn, on the same event loop and the same engine."""

from __future__ import annotations

from grpclib.health.check import ServiceStatus
from grpclib.health.service import OVERALL, Health
from grpclib.health.v1 import health_pb2
from grpclib.reflection.service import ServerReflection
from grpclib.reflection.v1 import reflection_pb2
from grpclib.server import Server

from salver.engine.engine import Engine
from salver.errors import ConfigError
from salver.server.entrance import Entrance
from salver.server.rpc.messages import pool
from salver.server.rpc.service import Service

_GRACE_S = 30.0


class Listener:
    """A port that speaks gRPC: inference, health and reflection."""

    def __init__(self, engine: Engine, entrance: Entrance, host: str, port: int) -> None:
        self._engine = engine
        self._entrance = entrance
        self._host, self._port = host, port

    async def start(self) -> None:
        """Listen. Raises ConfigError when the port can't be had."""
        self._service, self._status = Service(self._engine, self._entrance), ServiceStatus()
        self._engine.on_change.append(self._tell)
        self._tell()
        health = Health({OVERALL: [self._status], self._service: [self._status]})
        described = pool()
        for file in (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
            described.AddSerializedFile(file.serialized_pb)
        certificate = self._entrance.certificate
        self._server = Server(ServerReflection.extend([self._service, health], pool=described))
        try:
            await self._server.start(self._host, self._port, ssl=certificate.context if certificate else None)
        except OSError as error:
            raise ConfigError(
                f"gRPC can't listen on {self._host}, port {self._port} ({error.strerror}); choose another: --grpc-port"
            ) from error

    async def stop(self) -> None:
        """Take nothing new, finish what is in flight, and close the connections."""
        self._status.set(False)
        await self._service.drain(_GRACE_S)
        self._server.close()
        await self._server.wait_closed()

    def _tell(self) -> None:
        self._status.set(self._engine.ready)
