"""All that stands between the network and the engine: settings, the gate and its keys, bounds on connections, TLS."""

from __future__ import annotations

import ipaddress
from collections.abc import Coroutine, Iterable
from typing import Any

from salver.door.audit import Audit
from salver.door.keys import Keys
from salver.door.ring import Ring
from salver.engine.engine import Engine
from salver.errors import ConfigError
from salver.server.access import Gate
from salver.server.guarded import Guard
from salver.server.hot_routes import HotRoutes
from salver.server.protocols.codecs import Codecs
from salver.server.settings import Settings
from salver.server.tls import Certificate
from salver.server.watch import KeyWatch, watch_connections

KEYS_S, REMOTE_KEYS_S = 1.0, 5.0
"""How often a folder, or an object store, is asked for keys that are new or revoked."""


class Entrance:
    """One server's. Raises StoreError when the keys can't be read, ConfigError when the certificate can't."""

    def __init__(
        self, engine: Engine, settings: Settings | None = None, keys: Keys | None = None, audit: Audit | None = None
    ) -> None:
        self.settings = settings = settings or Settings()
        ring = Ring(settings.access.keys, settings.rates.requests_per_s, settings.rates.burst)
        self.gate = Gate(ring, audit, settings, engine)
        self.routes = HotRoutes(engine, self.gate, Guard(settings.limits))
        self.routes.taken = settings.protocols.vertex_predict.encode()
        engine.default_name = settings.protocols.default
        self.codecs = Codecs(engine, settings.limits)
        self.certificate = Certificate(settings.tls) if settings.tls.cert else None
        self._audit = audit
        self._keys = KeyWatch(keys, ring, self.routes.forget) if keys else None
        self._keys_s = REMOTE_KEYS_S if keys and keys.is_remote else KEYS_S
        if self._keys:
            self._keys.read()

    def watches(self, connections: Iterable[object]) -> Iterable[Coroutine[Any, Any, None]]:
        """What goes on beside serving, until the server stops."""
        yield watch_connections(connections, self._audit, self.certificate)
        if self._keys:
            yield self._keys.follow(self._keys_s)


def require_keys(host: str, settings: Settings, keys: Keys) -> None:
    """Raises ConfigError where everybody in the network would be let in and nobody has said so twice."""
    if settings.access.keys == "auto" and not is_loopback(host) and not keys.all():
        raise ConfigError(
            f"{host or 'this address'} is open to the network, and this store has no API keys: make one with "
            "`salver key add NAME`, or say --insecure-no-keys too"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
