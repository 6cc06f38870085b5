"""Content codings, both ways: gzip and deflate, and zstd where its package is installed."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from importlib.util import find_spec
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Literal, NamedTuple

from salver.errors import InputError, TooLarge

Coding = Literal["gzip", "deflate", "zstd"]

SMALL_BYTES = 1024
"""An answer smaller than this is not worth compressing."""

IN_MEMORY_BYTES = 2**20
"""What is larger than this goes to a file on the disk while it is worked on."""

_STEP_BYTES = 2**20
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_ZSTD_WINDOW_BYTES = 8 * 2**20  # what RFC 9659 lets a client count on
_LEVEL = 3


class Encoded(NamedTuple):
    """An answer's body, and the header that says how it is coded."""

    body: bytes
    headers: dict[str, str]


def spool() -> IO[bytes]:
    """A file in memory that goes to the disk when it grows."""
    return SpooledTemporaryFile(IN_MEMORY_BYTES)


def require_known(coding: str) -> None:
    """Raises InputError for a coding that is not read here."""
    if coding == "zstd" and find_spec("zstandard") is None:
        raise InputError("this server has no zstandard: pip install 'salver[zstd]'", code="unsupported_encoding")
    if coding not in _WINDOW_BITS and coding != "zstd":
        raise InputError("send the body as it is or with content-encoding gzip, deflate or zstd", code="unsupported_encoding")


def decode(coding: str, source: IO[bytes], target: IO[bytes], limit_bytes: int) -> None:
    """Undo a coding, step by step. Raises TooLarge soon after the limit is passed, InputError for what is not so coded."""
    written = 0
    for part in _zstd_parts(source) if coding == "zstd" else _zlib_parts(source, _WINDOW_BITS[coding]):
        written += len(part)
        if written > limit_bytes:
            raise TooLarge(f"a body may have at most {limit_bytes} bytes; send the rows in parts")
        target.write(part)


def chosen(accept: str) -> Coding | None:
    """The coding for an answer to somebody who accepts these; None for none."""
    wanted = [one.partition(";") for one in accept.lower().split(",")]
    taken = {
        name.strip() for name, _, quality in wanted if quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    }
    if "zstd" in taken and find_spec("zstandard"):
        return "zstd"
    if "gzip" in taken:
        return "gzip"
    return "deflate" if "deflate" in taken else None


async def encoded(accept: str, body: bytes, large: bool) -> Encoded:
    """An answer's body as the client accepts it; compressed in a thread where it is large."""
    coding = chosen(accept) if len(body) >= SMALL_BYTES else None
    if coding is None:
        return Encoded(body, {"vary": "accept-encoding"})
    made = await asyncio.to_thread(_compressed, coding, body) if large else _compressed(coding, body)
    return Encoded(made, {"content-encoding": coding, "vary": "accept-encoding"})


def compressing(coding: Coding | None, file: IO[bytes]) -> Any:
    """A file that compresses into another, which stays open when it is closed; None leaves bytes as they are."""
    if coding == "gzip":
        return gzip.GzipFile(fileobj=file, mode="wb", compresslevel=_LEVEL, mtime=0)
    if coding == "zstd":
        import zstandard

        return zstandard.ZstdCompressor(_LEVEL).stream_writer(file, closefd=False)
    return _Plain(file)


class _Plain:
    """What `compressing` gives where nothing is compressed: closing it closes nothing."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def close(self) -> None:
        self._file.flush()


def _compressed(coding: Coding, body: bytes) -> bytes:
    if coding == "zstd":
        import zstandard

        return zstandard.ZstdCompressor(_LEVEL).compress(body)
    return gzip.compress(body, _LEVEL, mtime=0) if coding == "gzip" else zlib.compress(body, _LEVEL)


def _zlib_parts(source: IO[bytes], window_bits: int) -> Any:
    decoder = zlib.decompressobj(window_bits)
    try:
        while chunk := decoder.unconsumed_tail or source.read(_STEP_BYTES):
            if decoder.eof:
                break
            yield decoder.decompress(chunk, _STEP_BYTES)
    except zlib.error as error:
        raise _not_so_coded() from error
    if not decoder.eof or decoder.unused_data or source.read(1):
        raise _not_so_coded()


def _zstd_parts(source: IO[bytes]) -> Any:
    import zstandard

    reader = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).stream_reader(source, read_across_frames=True)
    try:
        while part := reader.read(_STEP_BYTES):
            yield part
    except zstandard.ZstdError as error:
        raise _not_so_coded() from error


def _not_so_coded() -> InputError:
    return InputError("the body is not what its content-encoding says", code="invalid_body")
