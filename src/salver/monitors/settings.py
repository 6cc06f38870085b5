"""`monitor.toml` in the log's folder: thresholds, windows, segments, who is told. What each means: docs/monitoring.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import msgspec

from salver.errors import ConfigError
from salver.monitors.rule import Rule

FILE = "monitor.toml"
_SPANS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Channel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is told: an address as Apprise has them (https://github.com/caronc/apprise), from which level on."""

    url: str
    level: Literal["warn", "alert"] = "alert"
    models: list[str] = []


class ModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What holds for one model. `segments` are columns whose commonest values are watched apart."""

    segments: tuple[str, ...] = ()
    rule: Rule | None = None
    window: str | None = None


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of `monitor.toml`. A window spans an hour: what is wrong for less is seen by its callers first."""

    window: str = "1h"
    first_rows: int = 5000
    rule: Rule = Rule()
    models: dict[str, ModelSettings] = {}
    channels: list[Channel] = []

    def of(self, model: str) -> ModelSettings:
        return self.models.get(model) or ModelSettings()

    def rule_of(self, model: str) -> Rule:
        return self.of(model).rule or self.rule

    def span_us(self, model: str) -> int:
        """How long a window lasts at least, in µs."""
        return span_us(self.of(model).window or self.window)


def span_us(text: str) -> int:
    """`1h`, `30m`, `1d` in µs. Raises ConfigError."""
    found = re.fullmatch(r"(\d+)([smhdw])", text)
    if not found:
        raise ConfigError("a window is a span: 30m, 1h, 1d")
    return int(found[1]) * _SPANS_S[found[2]] * 1_000_000


def read_settings(log: Path) -> Settings:
    """The settings of a log's monitor; the defaults where it has no file. Raises ConfigError."""
    path = log / FILE
    try:
        settings = msgspec.toml.decode(path.read_bytes(), type=Settings)
    except FileNotFoundError:
        return Settings()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    for window in (settings.window, *(model.window for model in settings.models.values() if model.window)):
        span_us(window)
    return settings
