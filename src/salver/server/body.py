"""Reading a request's body: never more of it than a limit, whatever it was compressed to."""

from __future__ import annotations

import asyncio
import zlib

from starlette.requests import Request

from salver.errors import InputError, TooLarge

BODY_BYTES = 64 * 2**20
"""The largest body that is read, after decompression."""

LARGE_BYTES = 64 * 1024
"""A body larger than this is decoded in a thread, so that the event loop stays free."""

_STEP_BYTES = 2**20
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


async def read_body(http: Request, limit_bytes: int = BODY_BYTES) -> bytes:
    """The whole body. Raises TooLarge soon after `limit_bytes` are passed, InputError for what can't be decompressed."""
    encoding = http.headers.get("content-encoding", "identity").lower()
    if encoding in _WINDOW_BITS:
        return await _decompressed(http, _WINDOW_BITS[encoding], limit_bytes)
    if encoding != "identity":
        raise InputError("send the body as it is or with content-encoding gzip or deflate", code="unsupported_encoding")
    body = bytearray()
    async for chunk in http.stream():
        body += chunk
        _check_size(body, limit_bytes)
    return bytes(body)


async def _decompressed(http: Request, window_bits: int, limit_bytes: int) -> bytes:
    decoder = zlib.decompressobj(window_bits)
    body = bytearray()
    async for chunk in http.stream():
        left = chunk
        while left:
            try:
                body += decoder.decompress(left, _STEP_BYTES)
            except zlib.error as error:
                raise InputError("the body is not what its content-encoding says", code="invalid_body") from error
            _check_size(body, limit_bytes)
            left = decoder.unconsumed_tail
            await asyncio.sleep(0)  # a small chunk can be a large body
    if not decoder.eof or decoder.unused_data:
        raise InputError("the body is not what its content-encoding says", code="invalid_body")
    return bytes(body)


def _check_size(body: bytearray, limit_bytes: int) -> None:
    if len(body) > limit_bytes:
        raise TooLarge(f"a body may have at most {limit_bytes} bytes; send the rows in parts")
