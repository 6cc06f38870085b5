"""API keys are kept by every kind of store, and found there by whoever looks."""

from __future__ import annotations

import pytest

from salver.door.key import new_key
from salver.door.keys import Keys
from salver.errors import ConfigError, NotFound
from salver.registry.store import open_store


def test_keys_are_added_listed_and_revoked(url: str) -> None:
    keys, other = Keys(open_store(url)), Keys(open_store(url))
    assert keys.is_remote == ("://" in url)
    assert keys.all() == [] == other.changed() and other.changed() is None
    made, _ = new_key("a", ("predict",), by="me")
    keys.add(made)
    assert [kept.key for kept in other.changed() or []] == [made]
    assert other.changed() is None
    with pytest.raises(ConfigError, match="already"):
        keys.add(new_key("a", ("label",))[0])
    assert keys.remove(made.id, by="me", why="left") == made
    (kept,) = other.changed() or []
    assert kept.revoked and (kept.revoked.by, kept.revoked.why) == ("me", "left")
    with pytest.raises(NotFound):
        keys.remove("a", by="me")
    keys.add(new_key("a", ("label",))[0])  # the name is free again
    assert len(keys.all()) == 2
