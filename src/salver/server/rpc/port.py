"""grpclib's server, whose connections end quietly when what arrives is no HTTP/2, and answer plain calls by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING

from grpclib.protocol import H2Protocol
from grpclib.server import Handler, Server
from h2.events import Event
from h2.exceptions import ProtocolError

from salver.server.rpc.hot import HotInfer
from salver.server.rpc.processor import Processor, http2_of

if TYPE_CHECKING:
    from grpclib._typing import IServable


class Port(Server):
    """A socket's connections."""

    def __init__(self, services: Collection[IServable], hot: HotInfer) -> None:
        super().__init__(services)
        self._hot = hot

    def _protocol_factory(self) -> H2Protocol:
        return _Protocol(super()._protocol_factory(), self._hot)


class _Protocol(H2Protocol):
    """One connection."""

    handler: Handler

    def __init__(self, made: H2Protocol, hot: HotInfer) -> None:
        super().__init__(made.handler, made.config, made.h2_config)
        self._hot = hot

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.processor = self._own = Processor(self.handler, self.connection, self._hot)

    def data_received(self, data: bytes) -> None:
        if self.connection.is_closing():
            return
        try:
            for part in self._own.unknown(data):
                for event in self._events(part):
                    self.processor.process(event)
        except (ProtocolError, UnicodeDecodeError):  # the other is of headers, which are ASCII
            self._hot.gate.refusals["invalid_http"] += 1
            self.connection.flush()  # it says so to the client
            self.processor.close("this is no HTTP/2")
        if not self.connection.is_closing():
            self._own.write()

    def _events(self, data: bytes) -> list[Event]:
        events = self.connection.feed(data)
        self._own.require_no_large_frame(http2_of(self.connection).incoming_buffer._data)  # pyright: ignore[reportPrivateUsage]
        return events
