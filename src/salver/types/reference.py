"""How a model is named: `iris`, `iris@3`, `iris@champion`."""

from __future__ import annotations

import re

import msgspec

from salver.errors import InputError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class Reference(msgspec.Struct, frozen=True):
    """A model, and which version of it: a number, an alias, or the default (both None)."""

    name: str
    version: int | None = None
    alias: str | None = None

    def __str__(self) -> str:
        which = self.version if self.version is not None else self.alias
        return self.name if which is None else f"{self.name}@{which}"

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read `name`, `name@number` or `name@alias`; raises InputError (`invalid_reference`)."""
        name, at, which = text.partition("@")
        if not _NAME.fullmatch(name) or (at and not _NAME.fullmatch(which)):
            raise InputError(
                "a model is named by letters, digits, '_', '-' and '.', with '@' before a version or alias: "
                "iris, iris@3, iris@champion",
                code="invalid_reference",
            )
        if which.isdecimal():
            return cls(name, version=int(which))
        return cls(name, alias=which or None)


def model_name(text: str) -> str:
    """The nearest legal model name to `text` (a file's stem)."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text).lstrip("_.-")[:128] or "model"
