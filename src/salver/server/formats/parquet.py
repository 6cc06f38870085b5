"""Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from salver.errors import InputError
from salver.server.formats.arrow import parts, record_batch, schema
from salver.server.formats.media import Part
from salver.types.signature import Output, Signature


def require() -> None:
    """Raises ModuleNotFoundError where pyarrow is missing."""
    import pyarrow.parquet  # noqa: F401  # pyright: ignore[reportUnusedImport]


def read(file: IO[bytes], signature: Signature, rows: int) -> Iterator[Part]:
    """Parts of at most `rows` rows. Raises InputError."""
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(file) as opened:
            yield from parts(opened.iter_batches(rows, use_threads=False), signature, rows)
    except (pyarrow.ArrowException, OSError, MemoryError, UnicodeDecodeError) as error:
        raise InputError("the body is not a Parquet file", code="invalid_body") from error


class Writer:
    """Writes a row group a part."""

    def __init__(self, file: IO[bytes], outputs: list[Output]) -> None:
        import pyarrow.parquet

        self._schema = schema(outputs)
        self._file = pyarrow.parquet.ParquetWriter(file, self._schema)

    def write(self, columns: dict[str, list[Any]]) -> None:
        self._file.write_batch(record_batch(columns, self._schema))

    def close(self) -> None:
        self._file.close()
