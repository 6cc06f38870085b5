"""`requirements.lock`: the exact packages that a model was trained with, as plain requirements.

    # python 3.11
    numpy==2.4.6
    scikit-learn==1.9.1

Nothing else is a lock: no options, no addresses, no paths, no ranges. So a lock chooses versions, never where they come from.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version

import msgspec

from salver.errors import ArtifactError

FILENAME = "requirements.lock"
HOST = ("msgspec", "numpy")
"""What the process of a model needs beside the model's own library."""

_LIMIT_LINES = 5000
_PIN = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?)==([A-Za-z0-9][A-Za-z0-9.!+_-]{0,98})")
_PYTHON = re.compile(r"# python (3\.\d{1,2})")


class Lock(msgspec.Struct, frozen=True):
    """Packages by name, in lower case with dashes, and the Python they were installed for: "3.11"."""

    python: str
    pins: dict[str, str]

    @property
    def text(self) -> str:
        return "".join([f"# python {self.python}\n", *(f"{name}=={self.pins[name]}\n" for name in sorted(self.pins))])

    @property
    def is_here(self) -> bool:
        """Whether this very interpreter has exactly these packages, so that it can read the model itself."""
        return self.python == this_python() and all(_installed(name) == pin for name, pin in self.pins.items())

    def with_host(self) -> Lock:
        """With what the process of a model needs, as installed here where the lock does not say."""
        missing = {name: version(name) for name in HOST if name not in self.pins}
        return Lock(self.python, {**self.pins, **missing})


def this_python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def lock(roots: Iterable[str]) -> Lock:
    """The installed versions of these distributions, of what they require, and of what a model's process needs.

    Raises PackageNotFoundError when a root is not installed. What is required for an extra or on other systems is left out.
    """
    pins: dict[str, str] = {}
    wanted = [*roots, *HOST]
    for name in wanted:
        version(name)
    while wanted:
        name = canonical(wanted.pop())
        found = _installed(name)
        if name in pins or name == "salver" or found is None:
            continue
        pins[name] = found
        wanted += _required(name)
    return Lock(this_python(), pins)


def distributions(modules: Iterable[str]) -> list[str]:
    """The installed distributions that modules come from: "sklearn.tree" → "scikit-learn"; none for the standard library."""
    known = _distributions()
    found = {name for module in modules for name in known.get(module.partition(".")[0], ())}
    return sorted(canonical(name) for name in found)


def parse(text: str) -> Lock:
    """Raises ArtifactError for anything but a lock."""
    python = this_python()
    pins: dict[str, str] = {}
    lines = text.splitlines()
    if len(lines) > _LIMIT_LINES:
        raise ArtifactError(f"{FILENAME} has more than {_LIMIT_LINES} lines; it is not used")
    for number, line in enumerate(lines, 1):
        if said := _PYTHON.fullmatch(line.strip()):
            python = said[1]
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        pin = _PIN.fullmatch(line.strip())
        if not pin:
            raise ArtifactError(
                f"{FILENAME}, line {number}: a lock has 'package==version' only, no options, addresses, paths or ranges"
            )
        name = canonical(pin[1])
        if pins.setdefault(name, pin[2]) != pin[2]:
            raise ArtifactError(f"{FILENAME}, line {number}: {name} is there in two versions")
    return Lock(python, pins)


def canonical(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _required(name: str) -> list[str]:
    from packaging.requirements import Requirement

    found = [Requirement(line) for line in requires(name) or ()]
    return [one.name for one in found if one.marker is None or one.marker.evaluate({"extra": ""})]


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(packages_distributions())
