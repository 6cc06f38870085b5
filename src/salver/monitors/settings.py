"""`monitor.toml` in the log's folder: thresholds, windows, segments, who is told. What each means: docs/monitoring.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import msgspec

from salver.errors import ConfigError
from salver.monitors.rule import Rule

FILE = "monitor.toml"
GRACE_US = 20 * 1_000_000
"""A line is written within a few seconds of its time; a slice that is over for longer is complete, or is counted again."""
_SPANS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_HOUR_US = 3600 * 1_000_000


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
    """All of `monitor.toml`. A window spans an hour: what is wrong for less is seen by its callers first.

    `slice` is short beside the shortest window that is of use, long enough that a year of slices is no burden. Of a slice with
    more than `rows_a_slice` rows a part is looked into: all would say nothing more, and cost what serving needs.
    """

    window: str = "1h"
    slice: str = "5m"
    rows_a_slice: int = 100_000
    first_rows: int = 5000
    rule: Rule = Rule()
    models: dict[str, ModelSettings] = {}
    channels: list[Channel] = []

    @property
    def slice_us(self) -> int:
        return span_us(self.slice)

    def complete_us(self, now_us: int) -> int:
        """Until when all slices are complete."""
        return (now_us - GRACE_US) // self.slice_us * self.slice_us

    def is_due(self, looked_us: int, now_us: int) -> bool:
        """Whether a slice has become complete since somebody looked."""
        return self.complete_us(now_us) > self.complete_us(looked_us)

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
    if not settings.slice_us or _HOUR_US % settings.slice_us:
        raise ConfigError(f'{path}: slice = "{settings.slice}" does not divide an hour: 10s, 1m, 5m, 15m, 1h do')
    if settings.rows_a_slice < 1:
        raise ConfigError(f"{path}: rows_a_slice is less than one row")
    return settings
