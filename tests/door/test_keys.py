"""Keys in a store: what is there and is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from salver.door.keys import Keys
from salver.errors import StoreError
from salver.registry.folder import FolderStore


def test_a_file_that_is_no_key_is_said(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / f"{'0' * 12}.json").write_text('{"id": "0"}')
    with pytest.raises(StoreError, match="is no key"):
        Keys(FolderStore(tmp_path)).all()


def test_what_is_no_key_by_its_name_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "README").write_text("notes")
    assert Keys(FolderStore(tmp_path)).all() == []
