"""What a sample told of columns that the model itself does not know: that one holds text, which categories it has.

Kept beside the model's file, so that whoever reads the model again understands it in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from salver.errors import ModelFileError
from salver.types.signature import Column

Hints = dict[str, Column]
"""By the column's name. Only `dtype` and `categories` say anything; text has the values that the sample had as `categories`."""

_LIMIT_BYTES = 16 * 2**20


def file_of(model: Path) -> Path:
    """Where the hints for a model's file are kept."""
    return model.with_name(f"{model.name}.columns.json")


def write_hints(model: Path, columns: Iterable[Column]) -> None:
    file_of(model).write_bytes(msgspec.json.encode(list(columns)))


def read_hints(model: Path) -> Hints:
    """The hints beside a model's file; none where there is no such file. Raises ModelFileError for one that can't be read."""
    file = file_of(model)
    try:
        if file.stat().st_size > _LIMIT_BYTES:
            raise ModelFileError(f"{file.name} is larger than {_LIMIT_BYTES} bytes; it is not read")
        columns = msgspec.json.decode(file.read_bytes(), type=list[Column])
    except FileNotFoundError:
        return {}
    except msgspec.DecodeError as error:
        raise ModelFileError(f"{file.name} is no list of columns: {error}") from error
    return {column.name: column for column in columns}
