"""The sockets that a server listens on. They are made before anything else, so that workers can share them."""

from __future__ import annotations

import socket

from salver.errors import ConfigError

BACKLOG = 2048


def listen(host: str, port: int, option: str = "--port") -> list[socket.socket]:
    """A listening socket for each address of `host`. Raises ConfigError, which names the option, when the port can't be had."""
    made: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(found):
            one = socket.socket(family, kind, protocol)
            made.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(address)
            one.listen(BACKLOG)
            one.setblocking(False)
    except OSError as error:
        for one in made:
            one.close()
        what = f"can't listen on {host}, port {port} ({error.strerror or error})"
        raise ConfigError(f"{what}; choose another: {option}") from error
    return made
