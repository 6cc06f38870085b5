"""HTTP by hand, byte for byte as a test wants it."""

from __future__ import annotations

import json
import socket
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Response(NamedTuple):
    """One response as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """One connection. Use as a context manager."""

    def __init__(self, url: str, timeout_s: float = 20.0) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, data: bytes) -> Response:
        self.send(data)
        return self.response()

    def response(self) -> Response:
        """The next response. Raises EOFError when the server closes before it is whole."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        while len(self._buffer) < length:
            self._more()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Response(int(first.split()[1]), headers, body)

    def rest(self, timeout_s: float = 1.0) -> list[Response]:
        """All responses until the server closes or has been silent for `timeout_s`."""
        self.socket.settimeout(timeout_s)
        responses: list[Response] = []
        try:
            while True:
                responses.append(self.response())
        except (EOFError, TimeoutError, ConnectionResetError):
            return responses

    def is_closed(self) -> bool:
        """Whether the server closes the connection, with nothing more to say."""
        assert not self._buffer
        try:
            return not self.socket.recv(1)
        except ConnectionResetError:
            return True

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("the server closed the connection")
        self._buffer += data


def post(target: str, body: bytes | Any, *headers: str, version: str = "1.1") -> bytes:
    """The bytes of a POST; a body that is not bytes is sent as JSON."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return head("POST", target, f"content-length: {len(body)}", *headers, version=version) + body


def get(target: str, *headers: str) -> bytes:
    return head("GET", target, *headers)


def head(method: str, target: str, *headers: str, version: str = "1.1") -> bytes:
    lines = [f"{method} {target} HTTP/{version}", "host: test", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")
