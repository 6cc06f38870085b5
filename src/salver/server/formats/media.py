"""Which format a media type means, and which one a client would like to be answered in."""

from __future__ import annotations

import re
from importlib import import_module
from typing import IO, Any, Literal, NamedTuple, Protocol

from salver.errors import InputError
from salver.types.signature import Columns, Output, Signature

JSON = "application/json"
Name = Literal["csv", "lines", "arrow", "parquet"]

MEDIA: dict[str, Name] = {
    "text/csv": "csv",
    "application/jsonl": "lines",
    "application/x-ndjson": "lines",
    "application/jsonlines": "lines",
    "application/vnd.apache.arrow.stream": "arrow",
    "application/vnd.apache.parquet": "parquet",
    "application/x-parquet": "parquet",
}
"""By media type; the first of each format is what an answer is called."""

TABLES = re.compile(rb"csv|jsonl|ndjson|arrow|parquet", re.IGNORECASE)
"""What each of them has in its name; a header without it speaks of no table."""

_QUALITY = re.compile(r"[01](\.[0-9]{0,3})?")
_ANYTHING = frozenset(("*/*", "application/*", ""))
_JSON_TYPES = frozenset((JSON, "text/json"))


class Part(NamedTuple):
    """Some rows of a table: as rows of JSON, or as columns (exactly one of the two)."""

    rows: list[Any] | None
    columns: Columns | None


class Writer(Protocol):
    """Writes an answer into a file, part by part."""

    def __init__(self, file: IO[bytes], outputs: list[Output]) -> None: ...
    def write(self, columns: dict[str, list[Any]]) -> None: ...
    def close(self) -> None: ...


class Format(Protocol):
    """What a format's module has."""

    Writer: type[Writer]

    def read(self, file: IO[bytes], signature: Signature, rows: int) -> Any: ...


def named(content_type: str) -> Name | None:
    """The format that a Content-Type says; None for JSON and all that is no table."""
    return MEDIA.get(_bare(content_type))


def accepted(accept: str, asked: Name | None) -> Name | None:
    """The format that an Accept header prefers, None for JSON; where it takes anything, that of the question.

    JSON is answered in JSON whatever is accepted. Raises InputError (`not_acceptable`) for a table that can't be answered.
    """
    if not accept:
        return asked
    for kind in preferred(accept):
        if kind in _ANYTHING:
            return asked
        if kind in _JSON_TYPES:
            return None
        if kind in MEDIA:
            return MEDIA[kind]
    if asked is None:
        return None
    raise InputError(f"an answer can be {JSON}, {', '.join(MEDIA)}; say one of them in Accept", code="not_acceptable")


def preferred(accept: str) -> list[str]:
    """The media types of an Accept header, what is wanted most first; those that are not wanted are left out."""
    kinds = [(_quality(kind), _bare(kind)) for kind in accept.split(",") if kind.strip()]
    return [kind for quality, kind in sorted(kinds, key=lambda one: -one[0]) if quality > 0]


def media_type(name: Name) -> str:
    """What an answer of that format is called."""
    return next(kind for kind, format_name in MEDIA.items() if format_name == name)


def module(name: Name) -> Format:
    """The format's module. Raises InputError where its library is not installed."""
    try:
        made: Any = import_module(f"salver.server.formats.{name}")
        made.require()
    except ModuleNotFoundError as error:
        raise InputError(
            f"this server has no {error.name} to read or write that format: pip install 'salver[parquet]'",
            code="unsupported_encoding",
        ) from error
    return made


def _quality(kind: str) -> float:
    for parameter in kind.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q" and _QUALITY.fullmatch(value.strip()):
            return float(value)
    return 1.0


def _bare(kind: str) -> str:
    return kind.partition(";")[0].strip().lower()
