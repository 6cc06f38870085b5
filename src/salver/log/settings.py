"""`log.toml` in the log's folder: what is written, and how much of it is kept. What each setting means: docs/log.md."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

import msgspec

from salver.errors import ConfigError
from salver.settings import read_settings_file

FILE = "log.toml"
EVERY = "*"
_LARGEST_BYTES = 20 * 10**9
_LARGEST_SHARE = 0.2  # of the disk


class Truncate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Text to its first characters, numbers to so many digits after the point."""

    truncate: int


class Bucket(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number as the bucket it falls in: of a width, or between edges."""

    bucket: float | list[float]


Rule = Literal["keep", "drop", "hash"] | Truncate | Bucket
"""What is written of a value."""


class ModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is written of one model's predictions."""

    sample: float = 1.0
    key: Literal["keep", "drop", "hash"] = "keep"
    columns: dict[str, Any] = {}
    outputs: dict[str, Any] = {}

    def rules(self, of: Literal["columns", "outputs"]) -> dict[str, Rule]:
        """The rules that are not "keep", by column. Raises ConfigError."""
        made: dict[str, Rule] = {}
        for name, given in getattr(self, of).items():
            rule = _rule(name, given)
            if rule != "keep":
                made[name] = rule
        return made


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of `log.toml`."""

    sync: Literal["none", "always"] = "none"
    when_full: Literal["block", "drop"] = "block"
    keep_days: float = 90.0
    keep_bytes: int = 0  # 0: a share of the disk
    models: dict[str, ModelSettings] = {}

    def of(self, model: str) -> ModelSettings:
        """What holds for a model: its own table, else the one for all (`*`)."""
        return self.models.get(model) or self.models.get(EVERY) or ModelSettings()

    def limit_bytes(self, folder: Path) -> int:
        """How large the log may grow, in bytes."""
        if self.keep_bytes:
            return self.keep_bytes
        return min(_LARGEST_BYTES, int(shutil.disk_usage(folder).total * _LARGEST_SHARE))


def read_settings(log: Path) -> Settings:
    """The settings of a log; the defaults where it has no file. Raises ConfigError."""
    path = log / FILE
    settings = read_settings_file(path, Settings)
    for model in settings.models.values():
        model.rules("columns")
        model.rules("outputs")
        if not 0 <= model.sample <= 1:
            raise ConfigError(f"{path}: a sample is a share between 0 and 1")
    return settings


def _rule(name: str, given: Any) -> Rule:
    try:
        if isinstance(given, dict):
            return msgspec.convert(given, Truncate if "truncate" in given else Bucket)
        return msgspec.convert(given, Literal["keep", "drop", "hash"])
    except msgspec.ValidationError:
        raise ConfigError(
            f'the rule for column \'{name}\' is none of "keep", "drop", "hash", {{truncate = 3}}, {{bucket = 10}}, '
            "{bucket = [0, 10, 100]}"
        ) from None
