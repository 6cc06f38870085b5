"""TLS: what connections are encrypted with, and the same again when its files change."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from salver.errors import ConfigError
from salver.server.settings import Tls

logger = logging.getLogger("salver")

Stamp = tuple[tuple[int, int, int], ...]


class Certificate:
    """The server's certificate. `context` stays the same object: what is loaded into it holds for the next connections."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self.context = self._loaded()
        self._stamp = self._files_stamp()

    def renew(self) -> bool:
        """Read the files again if they changed; True when they did. One that does not hold is said, and the old one stays."""
        try:
            stamp = self._files_stamp()
            if stamp == self._stamp:
                return False
            self._stamp = stamp
            self._loaded()  # a pair that does not fit must not reach the context in use
            self._load_into(self.context)
        except (ConfigError, OSError) as error:
            logger.error("the certificate was not renewed, the old one stays: %s", error)
            return False
        return True

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # The gRPC port has the same context. Whoever speaks both gets the first; clients of gRPC speak only the second.
        context.set_alpn_protocols(["http/1.1", "h2"])
        self._load_into(context)
        return context

    def _load_into(self, context: ssl.SSLContext) -> None:
        tls = self._tls
        try:
            # A key with a passphrase would ask for it on the terminal, and wait.
            context.load_cert_chain(tls.cert, tls.key, password=lambda: b"")
            if tls.client_ca:
                context.load_verify_locations(tls.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except FileNotFoundError as error:
            raise ConfigError(f"no such file for TLS: {tls.cert}, {tls.key} or {tls.client_ca}") from error
        except (ssl.SSLError, OSError) as error:
            raise ConfigError(
                f"{tls.cert} and {tls.key} are no certificate with its key, in PEM and without a passphrase"
            ) from error

    def _files_stamp(self) -> Stamp:
        paths = [path for path in (self._tls.cert, self._tls.key, self._tls.client_ca) if path]
        return tuple((at.st_ino, at.st_size, at.st_mtime_ns) for at in (Path(path).stat() for path in paths))
