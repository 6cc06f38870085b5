"""Reading a request's body: never more of it than a limit, whatever it was compressed to."""

from __future__ import annotations

import asyncio
import zlib

from starlette.requests import Request

from salver.errors import InputError, TooLarge
from salver.server.settings import Limits

LARGE_BYTES = 64 * 1024
"""A body larger than this is decoded in a thread, so that the event loop stays free."""

_STEP_BYTES = 2**20
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


async def read_body(http: Request) -> bytes:
    """The whole body. Raises TooLarge before or soon after a limit is passed, InputError for what can't be decompressed."""
    limits: Limits = http.app.state.limits
    declared = http.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limits.body_bytes:
        raise _too_large(limits.body_bytes)
    encoding = http.headers.get("content-encoding", "identity").lower()
    if encoding in _WINDOW_BITS:
        return await _decompressed(http, _WINDOW_BITS[encoding], limits)
    if encoding != "identity":
        raise InputError("send the body as it is or with content-encoding gzip or deflate", code="unsupported_encoding")
    body = bytearray()
    async for chunk in http.stream():
        body += chunk
        _require_size(len(body), limits.body_bytes)
    return bytes(body)


async def _decompressed(http: Request, window_bits: int, limits: Limits) -> bytes:
    decoder = zlib.decompressobj(window_bits)
    body = bytearray()
    sent_bytes = 0
    async for chunk in http.stream():
        left = chunk
        sent_bytes += len(chunk)
        _require_size(sent_bytes, limits.body_bytes)
        while left:
            try:
                body += decoder.decompress(left, _STEP_BYTES)
            except zlib.error as error:
                raise InputError("the body is not what its content-encoding says", code="invalid_body") from error
            _require_size(len(body), limits.decompressed_bytes)
            left = decoder.unconsumed_tail
            await asyncio.sleep(0)  # a small chunk can be a large body
    if not decoder.eof or decoder.unused_data:
        raise InputError("the body is not what its content-encoding says", code="invalid_body")
    return bytes(body)


def _require_size(size_bytes: int, limit_bytes: int) -> None:
    if size_bytes > limit_bytes:
        raise _too_large(limit_bytes)


def _too_large(limit_bytes: int) -> TooLarge:
    return TooLarge(f"a body may have at most {limit_bytes} bytes; send the rows in parts")
