"""A model at rest: written whole or not at all, and not opened when it is not what it says."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from salver.artifact.artifact import atomic_folder, open_artifact, sha256_of
from salver.artifact.cache import cached_folder
from salver.artifact.manifest import FILENAME, GOLDEN
from salver.errors import ArtifactError
from tests.echo import echo_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return echo_folder(tmp_path / "echo")


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / FILENAME
    manifest = json.loads(path.read_bytes())
    change(manifest)
    path.write_text(json.dumps(manifest))


def list_file(folder: Path, name: str, target: Path) -> None:
    """Let the manifest list a file under any name, with the right size and digest."""
    entry = {"sha256": sha256_of(target), "size_bytes": target.stat().st_size}
    edit(folder, lambda manifest: manifest["files"].update({name: entry}))


def refused(folder: Path) -> str:
    with pytest.raises(ArtifactError) as error:
        open_artifact(folder)
    return error.value.message


def test_what_was_written_is_opened(folder: Path) -> None:
    artifact = open_artifact(folder)
    assert artifact.manifest.name == "echo"
    assert artifact.golden.rows == [[1.0]]
    assert sorted(artifact.manifest.files) == ["echo.json", GOLDEN]


def test_a_changed_file_is_refused(folder: Path) -> None:
    (folder / "echo.json").write_bytes((folder / "echo.json").read_bytes().replace(b"0.0", b"9.0"))
    assert "digest" in refused(folder)


def test_a_file_of_another_size_is_refused(folder: Path) -> None:
    (folder / "echo.json").write_bytes((folder / "echo.json").read_bytes() + b" ")
    assert "size" in refused(folder)


@pytest.mark.parametrize("name", ["echo.json", GOLDEN, FILENAME])
def test_a_missing_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert name in refused(folder)


@pytest.mark.parametrize(
    "name", ["../outside", "a/../../outside", "/etc/hostname", "..\\outside", "./echo.json", "a//b", "", "."]
)
def test_a_path_that_leaves_the_folder_is_refused(folder: Path, name: str) -> None:
    outside = folder.parent / "outside"
    outside.write_text("x")
    list_file(folder, name, outside)
    refused(folder)


def test_an_absolute_path_to_a_file_that_exists_is_refused(folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.write_text("x")
    list_file(folder, str(outside), outside)
    assert "leaves the artifact" in refused(folder)


def test_a_link_is_refused(folder: Path) -> None:
    outside = folder.parent / "outside.json"
    (folder / "echo.json").rename(outside)
    (folder / "echo.json").symlink_to(outside)
    assert "plain file" in refused(folder)


def test_a_file_below_a_linked_folder_is_refused(folder: Path) -> None:
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("x")
    (folder / "inside").symlink_to(elsewhere)
    list_file(folder, "inside/file", elsewhere / "file")
    assert "does not list" in refused(folder)


def test_a_linked_manifest_is_refused(folder: Path) -> None:
    (folder / FILENAME).rename(folder.parent / "manifest")
    (folder / FILENAME).symlink_to(folder.parent / "manifest")
    assert "link" in refused(folder)


def test_a_pipe_is_refused_and_not_read(folder: Path) -> None:
    (folder / "echo.json").unlink()
    os.mkfifo(folder / "echo.json")
    assert "plain file" in refused(folder)


def test_a_manifest_that_is_a_pipe_or_a_folder_is_refused(folder: Path) -> None:
    (folder / FILENAME).unlink()
    os.mkfifo(folder / FILENAME)
    refused(folder)
    (folder / FILENAME).unlink()
    (folder / FILENAME).mkdir()
    refused(folder)


def test_a_huge_manifest_is_refused_unread(folder: Path) -> None:
    with (folder / FILENAME).open("r+b") as file:
        file.truncate(2**40)  # sparse: it takes no space, and reading it would take forever
    assert "larger" in refused(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"name": 5}'])
def test_a_manifest_that_is_none_is_refused(folder: Path, content: bytes) -> None:
    (folder / FILENAME).write_bytes(content)
    assert FILENAME in refused(folder)


def test_a_format_of_the_future_is_refused_with_advice(folder: Path) -> None:
    edit(folder, lambda manifest: manifest.update(format=2))
    assert "upgrade" in refused(folder)


def test_a_format_of_the_future_that_says_more_is_refused_with_advice(folder: Path) -> None:
    edit(folder, lambda manifest: manifest.update(format=2, more={}))
    assert "upgrade" in refused(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"more": 1},
        {"runtime": {"kind": "pickle", "file": "echo.json", "layout": "matrix"}},
        {"runtime": {"kind": "echo", "file": "echo.json", "layout": "rows"}},
        {"files": {}},
        {"signature": {"columns": [{"name": "a", "dtype": "object"}], "outputs": []}},
    ],
)
def test_what_the_manifest_may_not_say_is_refused(folder: Path, change: dict[str, Any]) -> None:
    edit(folder, lambda manifest: manifest.update(change))
    refused(folder)


@pytest.mark.parametrize("file", ["other.json", "../echo/echo.json", "/etc/hostname"])
def test_a_runtime_may_only_use_a_listed_file(folder: Path, file: str) -> None:
    edit(folder, lambda manifest: manifest["runtime"].update(file=file))
    assert "not listed" in refused(folder)


def test_no_folder_is_no_artifact(tmp_path: Path) -> None:
    assert "no artifact" in refused(tmp_path / "none")


# Writing


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "a" / "b") as made:
        (made / "file").write_text("x")
        assert not (tmp_path / "a" / "b").exists()
    assert (tmp_path / "a" / "b" / "file").read_text() == "x"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "b") as made:
        (made / "file").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_of_two_who_write_the_same_folder_the_first_wins(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "b") as late:
        (late / FILENAME).write_text("late")
        with atomic_folder(tmp_path / "b") as early:
            (early / FILENAME).write_text("early")
    assert (tmp_path / "b" / FILENAME).read_text() == "early"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_the_cache_tells_models_and_names_apart(tmp_path: Path) -> None:
    folders = {cached_folder(tmp_path, digest * 64, name) for digest in "12" for name in ("a", "b")}
    assert len(folders) == 4
    assert cached_folder(tmp_path, "1" * 64, "a") in folders
