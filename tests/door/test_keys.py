"""Keys in a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from salver.door.key import new_key
from salver.door.keys import Keys
from salver.errors import ConfigError, NotFound, StoreError
from salver.registry.folder import FolderStore


def test_keys_are_added_listed_and_revoked(tmp_path: Path) -> None:
    keys, other = Keys(FolderStore(tmp_path)), Keys(FolderStore(tmp_path))
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


def test_a_file_that_is_no_key_is_said(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / f"{'0' * 12}.json").write_text('{"id": "0"}')
    with pytest.raises(StoreError, match="is no key"):
        Keys(FolderStore(tmp_path)).all()


def test_what_is_no_key_by_its_name_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "README").write_text("notes")
    assert Keys(FolderStore(tmp_path)).all() == []
