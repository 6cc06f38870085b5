"""The keys in a store, where every server of the store finds them.

    keys/ID.json      a key: its name, scopes, models, and the SHA-256 of its secret; made once, never changed
    keys/ID.revoked   it is revoked: by whom, when and why

Both are made by `Store.create`, so that nothing is written twice. No key is forgotten: a store that has had one stays closed.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from salver.door.key import Key
from salver.errors import ConfigError, NotFound, SalverError, StoreError
from salver.registry.store import Store

FOLDER = "keys"
_LIMIT_BYTES = 2**16
_KEY = re.compile(rf"{FOLDER}/([0-9a-f]{{12}})\.json")


class Revoked(msgspec.Struct, frozen=True):
    """Who took a key back, when and why."""

    by: str
    at: str
    why: str = ""


class Kept(NamedTuple):
    """A key in the store, and whether it was taken back."""

    key: Key
    revoked: Revoked | None


class Keys:
    """The keys of one store. Each method raises StoreError when the store can't be reached."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._names: frozenset[str] | None = None

    @property
    def is_remote(self) -> bool:
        """Whether each look at it is a request to somebody else."""
        return "://" in self._store.url

    def add(self, key: Key) -> None:
        """Keep a new key. Raises ConfigError when one of its name holds already."""
        if any(kept.key.name == key.name and not kept.revoked for kept in self.all()):
            raise ConfigError(f"there is a key '{key.name}' already; give another name, or `salver key remove` that one first")
        if not self._store.create(f"{FOLDER}/{key.id}.json", msgspec.json.encode(key)):
            raise StoreError("a key of that id is there already; try again")

    def remove(self, name: str, *, by: str, why: str = "") -> Key:
        """Take back the key of that name or id. Raises NotFound."""
        holding = [kept.key for kept in self.all() if not kept.revoked]
        found = [key for key in holding if name in (key.name, key.id)]
        if not found:
            raise NotFound(f"there is no key '{name}'; `salver key list` lists those there are")
        for key in found:
            at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            self._store.create(f"{FOLDER}/{key.id}.revoked", msgspec.json.encode(Revoked(by, at, why)))
        return found[0]

    def all(self) -> list[Kept]:
        """Every key there ever was, in order of their making."""
        return self._read(frozenset(self._store.names(FOLDER)))

    def changed(self) -> list[Kept] | None:
        """Every key there ever was, when others hold than at the last call; None when nothing changed."""
        names = frozenset(self._store.names(FOLDER))
        if names == self._names:
            return None
        kept = self._read(names)
        self._names = names
        return kept

    def _read(self, names: frozenset[str]) -> list[Kept]:
        ids = [found[1] for name in names if (found := _KEY.fullmatch(name))]
        return sorted((self._kept(made_id, names) for made_id in ids), key=lambda kept: (kept.key.at, kept.key.id))

    def _kept(self, made_id: str, names: frozenset[str]) -> Kept:
        at = f"{FOLDER}/{made_id}.json"
        revoked = f"{FOLDER}/{made_id}.revoked"
        try:
            key = msgspec.json.decode(self._store.read(at, _LIMIT_BYTES) or b"", type=Key)
            data = self._store.read(revoked, _LIMIT_BYTES) if revoked in names else None
            return Kept(key, None if data is None else msgspec.json.decode(data, type=Revoked))
        except (msgspec.DecodeError, UnicodeDecodeError, ConfigError) as error:
            text = error.message if isinstance(error, SalverError) else str(error)
            raise StoreError(f"{self._store.url}/{at} is no key: {text}") from error
