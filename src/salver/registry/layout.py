"""Where what is kept in a store, and how it is spoken of."""

from __future__ import annotations

import getpass
import re
from datetime import UTC, datetime

import msgspec

from salver.artifact.manifest import FILENAME
from salver.errors import ConfigError
from salver.types.reference import Reference

COMMITTED = re.compile(rf"/versions/([1-9][0-9]*)/{re.escape(FILENAME)}$")
NUMBERED = re.compile(r"/(?:claims|versions)/([1-9][0-9]*)(?:\.json$|/)")
ROUTED = re.compile(r"/route/([1-9][0-9]*)\.json$")


class Claim(msgspec.Struct, frozen=True):
    """Who took a number for a version, and when. `token` tells two of them apart."""

    by: str
    at: str
    why: str
    digest: str
    token: str


class Checked(msgspec.Struct, frozen=True):
    """A version that was read and held against its digests; `problem` is empty when it is what was published."""

    name: str
    version: int
    problem: str = ""


def user_name() -> str:
    """Who makes a change, where nobody says."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        return "unknown"


def version_folder(name: str, version: int) -> str:
    """The folder of a version's files."""
    return f"models/{name}/versions/{version}"


def now() -> str:
    """The time, in UTC, as it is written down."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parsed(reference: Reference | str) -> Reference:
    """A reference, read where it is a text. Raises InputError."""
    return Reference.parse(reference) if isinstance(reference, str) else reference


def precise(reference: Reference | str) -> Reference:
    """One that says which version. Raises ConfigError for a bare name."""
    wanted = parsed(reference)
    if wanted.version is None and wanted.alias is None:
        raise ConfigError(f"say which version: {wanted.name}@NUMBER or {wanted.name}@ALIAS")
    return wanted
