"""A way to a broker that is cut when it is told to, with what the broker was saying."""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

_LARGE_BYTES = 2000


class Way:
    """Passes bytes on, both ways. After `cut`, the next large answer is lost, and its connection with it."""

    def __init__(self, url: str) -> None:
        self._to = urlsplit(url)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._cut = threading.Event()
        self.cuts = self.connections = 0
        threading.Thread(target=self._run, daemon=True).start()

    def through(self, url: str) -> str:
        """The same place, by this way."""
        return url.replace(f":{self._to.port}/", f":{self._listening.getsockname()[1]}/")

    def cut(self) -> None:
        self._cut.set()

    def close(self) -> None:
        self._listening.close()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                near = self._listening.accept()[0]
                try:
                    far = socket.create_connection((self._to.hostname, self._to.port))
                except OSError:
                    near.close()
                    continue
                self.connections += 1
                for one, other, answers in ((near, far, False), (far, near, True)):
                    threading.Thread(target=self._pass, args=(one, other, answers), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := one.recv(2**16):
                if answers and len(data) > _LARGE_BYTES and self._cut.is_set():
                    self._cut.clear()
                    self.cuts += 1
                    break
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        one.close()  # the other one is closed by who reads from it


@contextmanager
def way(url: str) -> Generator[Way]:
    """A way to the broker of a URL."""
    made = Way(url)
    try:
        yield made
    finally:
        made.close()
