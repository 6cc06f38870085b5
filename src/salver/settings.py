"""Settings files: TOML into a typed structure, with an error that names the file and the setting.

Each setting is declared once: its name, type, default and meaning are those of a field of a msgspec structure. A size is a
number of bytes or a text such as "20 GB"; a field whose name ends in `_bytes` takes both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from salver.errors import ConfigError

_Settings = TypeVar("_Settings")
_UNITS = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


class Setting(NamedTuple):
    """One setting: its dotted name, its default, and what it means."""

    name: str
    default: Any
    help: str


def read_settings_file(path: Path, kind: type[_Settings], changes: Sequence[str] = ()) -> _Settings:
    """The settings in a file, the defaults where there is none; `changes` are NAME=VALUE and win. Raises ConfigError."""
    try:
        given: dict[str, Any] = msgspec.toml.decode(path.read_bytes())
    except FileNotFoundError:
        given = {}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from error
    _sized(given)
    made = _converted(given, kind, str(path))
    if not changes:
        return made
    for change in changes:
        _change(given, change)
    _sized(given)
    return _converted(given, kind, "--set")


def size_bytes(text: int | str) -> int:
    """`"500 MB"` in bytes. Raises ConfigError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(\w*)", str(text))
    if not found or found[2] not in _UNITS:
        raise ConfigError('a size is a number of bytes, or one with kB, MB, GB or TB: "20 GB"')
    return int(float(found[1]) * _UNITS[found[2]])


def described(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[Setting]:
    """Every setting of a structure, those of its tables too."""
    for field in msgspec.structs.fields(kind):
        name, of = prefix + field.encode_name, field.type
        default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
        if isinstance(default, msgspec.Struct):
            yield from described(type(default), f"{name}.")
        else:
            meta = getattr(of, "__metadata__", (None,))[0]
            yield Setting(name, default, (meta.description if isinstance(meta, msgspec.Meta) else None) or "")


def _converted(given: dict[str, Any], kind: type[_Settings], where: str) -> _Settings:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from error


def _sized(given: dict[str, Any]) -> None:
    """Turn sizes that are written as text into bytes, in place."""
    for name, value in given.items():
        if isinstance(value, dict):
            _sized(value)
        elif name.endswith("_bytes") and isinstance(value, str):
            given[name] = size_bytes(value)


def _change(given: dict[str, Any], change: str) -> None:
    name, equals, text = change.partition("=")
    *tables, last = name.strip().split(".")
    if not equals or not last:
        raise ConfigError("a setting is given as NAME=VALUE: --set limits.rows=1000")
    for table in tables:
        given = given.setdefault(table, {})
    try:
        given[last] = msgspec.toml.decode(f"value = {text}")["value"]
    except msgspec.DecodeError:  # a word that needs no quotes on a command line
        given[last] = text.strip()
