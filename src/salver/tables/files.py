"""Files that hold a table: CSV, Parquet, JSON lines.

In a CSV file nothing has a type. A column of numbers, or of true and false, is one when every cell that holds something reads
as such; anything else is text. An empty cell is missing; in a column of numbers so are NaN, NA, N/A, null and None.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from numpy.typing import NDArray

from salver.errors import InputError
from salver.tables.cells import BOOLS, MISSING, NUMBER, is_text, number_of
from salver.tables.table import bound, read
from salver.tables.values import array_of_values
from salver.types.signature import Column, Columns, Signature

SUFFIXES = (".csv", ".tsv", ".parquet", ".pq", ".jsonl", ".ndjson", ".json")


def read_file(path: Path, signature: Signature | None = None) -> Columns:
    """The columns of a table in a file, by its suffix. With a `signature`, its columns of text are read as text.

    Raises InputError for a file that can't be read as such a table.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path.name}: unknown kind of table; known are {', '.join(SUFFIXES)}", code="invalid_input")
    if not path.is_file():
        raise InputError(f"no table at {path}", code="invalid_input")
    if suffix in (".csv", ".tsv"):
        return read_csv(path, "\t" if suffix == ".tsv" else ",", signature)
    if suffix in (".parquet", ".pq"):
        return read(read_parquet(path), signature)
    return read(_read_json(path), signature)


def read_parquet(path: Path) -> Any:
    """The Arrow table in a Parquet file. Raises InputError."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise InputError(f"to read {path.name}, install pyarrow: pip install 'salver[parquet]'") from error
    try:
        return pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path.name} is not a Parquet file") from error


def read_csv(path: Path, delimiter: str, signature: Signature | None) -> Columns:
    """The columns of a CSV file whose first line has the names. Raises InputError."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        try:
            rows = csv.reader(file, delimiter=delimiter, strict=True)
            names = next(rows, [])
            cells = [row for row in rows if row]
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(f"{path.name} is not CSV in UTF-8") from error
    if not names or len(set(names)) < len(names):
        raise InputError(f"{path.name}: its first line must have the columns' names, each once")
    for number, row in enumerate(cells, 2):
        if len(row) != len(names):
            raise InputError(f"{path.name}: row {number} has {len(row)} cells, the first line {len(names)}", code="wrong_width")
    declared = {column.name: column for column in signature.columns} if signature else {}
    columns = zip(*cells, strict=True) if cells else [() for _ in names]
    read = {name: _typed(name, values, declared.get(name)) for name, values in zip(names, columns, strict=True)}
    return bound(read, signature, nameless=False)


def _typed(name: str, cells: Iterable[str], column: Column | None) -> NDArray[Any]:
    cells = list(cells)
    lowered = [cell.strip().lower() for cell in cells]
    if not is_text(column):
        if all(cell in MISSING or NUMBER.fullmatch(cell) for cell in lowered):
            return array_of_values(name, [number_of(cell) for cell in lowered])
        if all(cell in BOOLS for cell in lowered):
            return array_of_values(name, [BOOLS[cell] for cell in lowered])
    return array_of_values(name, [cell or None for cell in cells])


def _read_json(path: Path) -> list[Any]:
    data = path.read_bytes()
    try:
        if path.suffix.lower() == ".json":
            return msgspec.json.decode(data, type=list[Any])
        return [msgspec.json.decode(line) for line in data.splitlines() if line.strip()]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} is not JSON, one row a line (.jsonl) or a list of rows (.json)") from error
