"""JSON lines: a row a line, an object by column name or a list; empty lines are passed over."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import IO, Any

import msgspec

from salver.errors import InputError, TooLarge
from salver.server.formats.media import Part
from salver.types.signature import Output, Signature

LINE_BYTES = 16 * 2**20
"""The longest line that is read."""

_decode = msgspec.json.Decoder().decode
_encode_lines = msgspec.json.Encoder().encode_lines


def require() -> None:
    """Nothing else is needed."""


def read(file: IO[bytes], signature: Signature, rows: int) -> Iterator[Part]:
    """Parts of at most `rows` rows, unchecked. Raises InputError."""
    numbered = enumerate(iter(lambda: file.readline(LINE_BYTES + 1), b""))
    read_rows = (_row(number, line) for number, line in numbered if line.strip())
    while part := list(islice(read_rows, rows)):
        yield Part(part, None)


class Writer:
    """Writes an object a row."""

    def __init__(self, file: IO[bytes], outputs: list[Output]) -> None:
        self._file = file

    def write(self, columns: dict[str, list[Any]]) -> None:
        self._file.write(_encode_lines([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]))

    def close(self) -> None:
        self._file.flush()


def _row(number: int, line: bytes) -> Any:
    if len(line) > LINE_BYTES:
        raise TooLarge(f"line {number} has more than {LINE_BYTES} bytes")
    try:
        return _decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"line {number} is not JSON", code="invalid_json") from error
