"""Bodies that hold a table, as MLflow, SageMaker and Vertex AI have them → checked rows. Pure."""

from __future__ import annotations

from types import NoneType
from typing import Any, cast

import msgspec

from salver.errors import InputError
from salver.server import reading
from salver.server.protocols.rows import RowCodec
from salver.server.settings import Limits
from salver.types.rows import Row

FIELDS = ("dataframe_split", "dataframe_records", "instances", "inputs")

_decoder = msgspec.json.Decoder(Any)


class _Split(msgspec.Struct, forbid_unknown_fields=True):
    data: list[list[Any]]
    columns: list[str | int] | None = None
    index: list[Any] | None = None


def loads(content: bytes, limits: Limits) -> Any:
    """A body of JSON, whatever is in it. Raises InputError."""
    return reading.read(_decoder, content, limits)


def rows(codec: RowCodec, body: Any) -> list[Row]:
    """The checked rows of MLflow's body: exactly one of FIELDS. Raises InputError."""
    named = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    fields = [field for field in FIELDS if field in named]
    if len(fields) != 1:
        raise InputError(
            f"The input must be a JSON dictionary with exactly one of the input fields {', '.join(FIELDS)}", code="invalid_body"
        )
    if not isinstance(named.get("params"), dict | NoneType):
        raise InputError("params must be a dictionary", code="invalid_body")
    field, given = fields[0], named[fields[0]]
    if field == "dataframe_split":
        return _split(codec, given)
    if field == "dataframe_records":
        if not isinstance(given, list):
            raise InputError("Dataframe records format must be a list of records. Got dictionary.", code="invalid_body")
        return codec.by_row([known(codec, row) for row in cast("list[Any]", given)])
    return instances(codec, given)


def known(codec: RowCodec, row: Any) -> Any:
    """A row of a data frame without columns that the model does not have: MLflow reads over them, unless the model minds."""
    if not isinstance(row, dict) or not codec.ignores_unknown:
        return row
    return {name: value for name, value in cast("dict[str, Any]", row).items() if name in codec.names}


def instances(codec: RowCodec, given: Any) -> list[Row]:
    """The checked rows of a list of them, or of an object of lists by column. Raises InputError."""
    if isinstance(given, dict):
        return codec.by_column(cast("dict[str, Any]", given))
    if not isinstance(given, list):
        raise InputError("expected a list of rows, or an object of lists by column name", code="invalid_body")
    listed = cast("list[Any]", given)
    names = {frozenset(cast("dict[str, Any]", row)) for row in listed if isinstance(row, dict)}
    if len(names) > 1:
        raise InputError("the rows do not all have the same columns", code="wrong_width")
    return codec.by_row(listed)


def _split(codec: RowCodec, given: Any) -> list[Row]:
    if not isinstance(given, dict):
        raise InputError(f"Dataframe split format must be a dictionary. Got {type(given).__name__}", code="invalid_body")
    try:
        split = msgspec.convert(given, _Split)
    except msgspec.ValidationError as error:
        raise _no_frame() from error
    widths = {len(row) for row in split.data}
    names = split.columns
    if split.index is not None and len(split.index) != len(split.data):
        raise _no_frame()
    if names and (len(set(names)) < len(names) or widths - {len(names)}):
        raise _no_frame()
    counted = names == list(range(len(names or ())))  # as pandas calls the columns of a frame that was made without names
    if not names or (counted and not codec.lane.model.signature.named):
        return codec.by_row(split.data)
    return codec.by_row([known(codec, dict(zip(map(str, names), row, strict=True))) for row in split.data])


def _no_frame() -> InputError:
    return InputError("Provided dataframe_split field is not a valid dataframe representation", code="invalid_body")
