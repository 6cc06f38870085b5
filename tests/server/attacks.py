"""The table of attacks in docs/security.md, made from the tests that carry them out against a real server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from salver.door.key import Key, Scope, new_key
from salver.door.keys import Keys
from salver.registry.store import open_store
from tests.echo import echo_folder

_Test = TypeVar("_Test", bound=Callable[..., Any])

SETTINGS = """
[limits]
head_s = 1
body_s = 1
body_bytes_per_s = 1000
answer_s = 1
idle_s = 3
url_bytes = 1000
headers = 20
header_bytes = 4000
body_bytes = 300000
decompressed_bytes = 400000
json_depth = 10
json_values = 100000
rows = 1000
columns = 30
pipelined = 50
connections_per_address = 40
"""


class Attack(NamedTuple):
    """What is tried, what comes of it, and the test that does so."""

    name: str
    outcome: str
    test: str


ATTACKS: list[Attack] = []


def attack(name: str, outcome: str) -> Callable[[_Test], _Test]:
    """List a test in the table."""

    def listed(test: _Test) -> _Test:
        ATTACKS.append(Attack(name, outcome, f"{test.__module__.rpartition('.')[2]}.py::{test.__name__}"))
        return test

    return listed


def table() -> str:
    """The table as it stands in the docs."""
    lines = ["| attack | what comes of it | test |", "|---|---|---|"]
    return "\n".join(
        [*lines, *(f"| {one.name} | {one.outcome} | `{one.test}` |" for one in sorted(ATTACKS, key=lambda a: a.test))]
    )


class Locked(NamedTuple):
    """A store with keys, and the models that its servers serve."""

    store: Path
    models: list[Path]

    def key(self, name: str, *scopes: Scope, **more: Any) -> str:
        """Make a key, and what its holder shows."""
        key, shown = new_key(name, scopes or ("predict",), **more)
        self.keys.add(key)
        return shown

    @property
    def keys(self) -> Keys:
        return Keys(open_store(str(self.store)))

    def kept(self, name: str) -> Key:
        return next(kept.key for kept in self.keys.all() if kept.key.name == name)


def locked(folder: Path, settings: str = SETTINGS) -> Locked:
    """A store with these settings, and two models that echo: `echo` and `other`."""
    store = folder / "store"
    store.mkdir()
    (store / "server.toml").write_text(settings)
    return Locked(store, [echo_folder(folder / "echo"), echo_folder(folder / "other")])


def bearer(shown: str) -> str:
    return f"authorization: Bearer {shown}"
