"""Messages out of a stream of gRPC: their sizes are held against a limit before they are read, and they may be compressed."""

from __future__ import annotations

import zlib
from typing import Any

from grpclib.server import Stream

from salver.errors import InputError, TooLarge

_HEAD_BYTES = 5
_EITHER = 47
"""zlib's window bits for gzip and deflate alike: it sees by itself which of them it reads."""


async def receive(stream: Stream[Any, Any], limit_bytes: int) -> bytes | None:
    """The next message; None when the client has ended the stream. Raises TooLarge, or InputError for what is no message.

    The library reads a message of any size into memory, so what lies below its `recv_message` is asked here.
    """
    source = stream._stream  # pyright: ignore[reportPrivateUsage]
    try:
        head = await source.recv_data(_HEAD_BYTES)
        if not head:
            return None
        size_bytes = int.from_bytes(head[1:], "big")
        if size_bytes > limit_bytes:
            raise _too_large(limit_bytes)
        content = await source.recv_data(size_bytes)
    except AssertionError as error:  # the library's word for a stream that ended inside of a message
        raise InputError("the stream ended inside of a message", code="invalid_body") from error
    if len(content) != size_bytes:
        raise InputError("the stream ended inside of a message", code="invalid_body")
    return _decompressed(content, limit_bytes) if head[0] else content


def _decompressed(content: bytes, limit_bytes: int) -> bytes:
    decoder = zlib.decompressobj(_EITHER)
    try:
        made = decoder.decompress(content, limit_bytes + 1)
    except zlib.error as error:
        raise InputError("a message is compressed neither by gzip nor by deflate", code="invalid_body") from error
    if len(made) > limit_bytes:
        raise _too_large(limit_bytes)
    if not decoder.eof:
        raise InputError("a message is compressed neither by gzip nor by deflate", code="invalid_body")
    return made


def _too_large(limit_bytes: int) -> TooLarge:
    return TooLarge(f"a message may have at most {limit_bytes} bytes; send the rows in parts")
