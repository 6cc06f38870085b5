"""CSV in UTF-8. The first line has the columns' names; an empty cell is missing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from itertools import islice
from typing import IO, Any

from salver.errors import InputError
from salver.server.formats.media import Part
from salver.types.signature import Output, Signature

_WRONG = "the body is not CSV in UTF-8"


def require() -> None:
    """Nothing else is needed."""


def read(file: IO[bytes], signature: Signature, rows: int, header: bool = True) -> Iterator[Part]:
    """Parts of at most `rows` rows. Without a `header`, cells go by position. Raises InputError."""
    from salver.tables.cells import cell_reader, text_of

    lines = csv.reader(io.TextIOWrapper(file, "utf-8-sig", newline=""), strict=True)
    filled = (line for line in lines if line)
    try:
        names = next(filled, []) if header else signature.names
        if not names or len(set(names)) < len(names):
            raise InputError("the first line must have the columns' names, each once", code="invalid_body")
        if not signature.named and len(names) == len(signature.names) and not set(names) & set(signature.names):
            names = signature.names  # the model was trained without any, so theirs mean nothing
        declared = {column.name: column for column in signature.columns}
        readers = [cell_reader(declared[name]) if name in declared else text_of for name in names]
        seen = 0
        while cells := list(islice(filled, rows)):
            for row, line in enumerate(cells):
                if len(line) != len(names):
                    raise InputError(f"row {seen + row} has {len(line)} cells instead of {len(names)}", code="wrong_width")
            yield Part([dict(zip(names, _values(line, readers), strict=True)) for line in cells], None)
            seen += len(cells)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(_WRONG, code="invalid_body") from error


def _values(line: list[str], readers: list[Callable[[str | None], Any]]) -> list[Any]:
    return [read_cell(cell) for read_cell, cell in zip(readers, line, strict=True)]


class Writer:
    """Writes a line of names, and then the rows; lists as JSON."""

    def __init__(self, file: IO[bytes], outputs: list[Output]) -> None:
        self._text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
        self._rows = csv.writer(self._text, lineterminator="\n")
        self._rows.writerow([output.name for output in outputs])

    def write(self, columns: dict[str, list[Any]]) -> None:
        self._rows.writerows(map(_cells, zip(*columns.values(), strict=True)))

    def close(self) -> None:
        self._text.flush()
        self._text.detach()


def _cells(row: tuple[Any, ...]) -> list[Any]:
    return [json.dumps(value) if isinstance(value, list) else value for value in row]
