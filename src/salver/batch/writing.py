"""Tables into a file of each format, chunk by chunk. A file that is not closed is not there: it has another name until then."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from salver.batch import arrow
from salver.batch.plan import Format


class PartWriter:
    """Writes one file. It gets its name when the `with` ends well, on the disk; else nothing is left of it."""

    def __init__(self, path: Path, format: Format) -> None:
        self.path = path
        self._format: Format = format
        self._writing = path.with_name(f".{path.name}.{os.getpid()}")
        self._opened: Any = None
        self._schema: arrow.Schema | None = None

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._opened is not None:
            self._opened.close()
        if kind is not None:
            self._writing.unlink(missing_ok=True)
        elif self._opened is not None:
            settle(self._writing, self.path)

    def write(self, table: arrow.Table) -> None:
        """Raises pyarrow's errors when a later table has other types than the first, and OSError."""
        if self._format in ("csv", "tsv"):
            table = _plain(table)
        if self._opened is None or self._schema is None:
            self._schema = table.schema
            self._opened = _OPEN[self._format](self._writing, table.schema)
        elif table.schema != self._schema:
            table = table.select(self._schema.names).cast(self._schema)
        self._opened.write_table(table)


def settle(writing: Path, path: Path) -> None:
    """A file that is complete gets its name, on the disk."""
    with writing.open("rb") as file:
        os.fsync(file.fileno())
    writing.replace(path)


def _parquet(path: Path, schema: arrow.Schema) -> Any:
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    # Ids of one part begin alike, and numbers rarely repeat: what Parquet does by default is made for neither.
    texts = [field.name for field in schema if pyarrow.types.is_string(field.type) and field.name != "id"]
    options: Any = {"use_dictionary": [*texts, "version", "prediction"], "column_encoding": {"id": "DELTA_BYTE_ARRAY"}}
    return ParquetWriter(path, schema, **options)


def _arrow(path: Path, schema: arrow.Schema) -> Any:
    import pyarrow

    return pyarrow.ipc.new_file(path, schema)


def _csv(delimiter: str) -> Callable[[Path, arrow.Schema], Any]:
    def opened(path: Path, schema: arrow.Schema) -> Any:
        from pyarrow import csv

        return csv.CSVWriter(path, schema, write_options=csv.WriteOptions(delimiter=delimiter, quoting_style="needed"))

    return opened


class _Lines:
    """JSON lines."""

    def __init__(self, path: Path, schema: arrow.Schema) -> None:
        self._file = path.open("wb")
        self._encoder = msgspec.json.Encoder(enc_hook=str)

    def write_table(self, table: arrow.Table) -> None:
        self._file.write(self._encoder.encode_lines(table.to_pylist()))

    def close(self) -> None:
        self._file.close()


_OPEN: dict[Format, Callable[[Path, Any], Any]] = {
    "parquet": _parquet,
    "arrow": _arrow,
    "csv": _csv(","),
    "tsv": _csv("\t"),
    "jsonl": _Lines,
}


def _plain(table: arrow.Table) -> arrow.Table:
    """Lists and structs as JSON: CSV knows cells only."""
    import pyarrow

    for at, field in enumerate(table.schema):
        if pyarrow.types.is_nested(field.type):
            texts = [None if value is None else msgspec.json.encode(value).decode() for value in table.column(at).to_pylist()]
            table = table.set_column(at, field.name, pyarrow.array(texts, pyarrow.string()))
    return table


def joined(parts: list[Path], path: Path, format: Format) -> None:
    """Files of one format as one file, in their order, under its name once it is complete."""
    if len(parts) == 1:
        path.unlink(missing_ok=True)
        os.link(parts[0], path)
        return
    if format in ("parquet", "arrow"):
        with PartWriter(path, format) as whole:
            for part in parts:
                for table in _tables(part, format):
                    whole.write(table)
        return
    writing = path.with_name(f".{path.name}.{os.getpid()}")
    with writing.open("wb") as whole:
        append(parts, whole, format)
    settle(writing, path)


def append(parts: list[Path], out: Any, format: Format) -> None:
    """Text files one after the other; the line of names once."""
    for number, part in enumerate(parts):
        with part.open("rb") as file:
            if number and format in ("csv", "tsv"):
                file.readline()
            while block := file.read(2**20):
                out.write(block)


def _tables(part: Path, format: Format) -> Iterator[arrow.Table]:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    if format == "arrow":
        source = pyarrow.ipc.open_file(pyarrow.memory_map(str(part)))
        batches = (source.get_batch(i) for i in range(source.num_record_batches))
    else:
        source = ParquetFile(part)
        batches = source.iter_batches(65_536)
    yield (source.schema if format == "arrow" else source.schema_arrow).empty_table()
    yield from (pyarrow.Table.from_batches([batch]) for batch in batches)
