"""The registry as its users see it, on a folder and over S3."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from salver.artifact.artifact import open_artifact
from salver.artifact.manifest import FILENAME
from salver.errors import ArtifactError, ConfigError, Incompatible, InUse, NotFound, StoreError
from salver.registry.registry import Registry
from salver.types.signature import Column
from tests.registry.artifacts import linear_artifact


@pytest.fixture
def registry(url: str) -> Registry:
    return Registry(url)


@pytest.fixture
def three(registry: Registry, tmp_path: Path) -> Registry:
    """A registry with three versions of iris."""
    for seed in (1, 2, 3):
        assert registry.publish(linear_artifact(tmp_path / f"made{seed}", seed=seed), by="ann", why=f"seed {seed}") == seed
    return registry


def test_an_empty_registry(registry: Registry) -> None:
    assert registry.models() == []
    assert registry.versions("iris") == []
    assert registry.history("iris") == []
    with pytest.raises(NotFound, match="salver models") as raised:
        registry.resolve("iris")
    assert raised.value.code == "unknown_model"


def test_the_first_version_is_the_champion_until_another_is_promoted(three: Registry) -> None:
    assert three.models() == ["iris"]
    assert three.versions("iris") == [1, 2, 3]
    assert three.resolve("iris") == three.resolve("iris@champion") == ("iris", 1)
    three.promote("iris@3", by="bob", why="better")
    three.promote("iris@2", "challenger")
    assert three.resolve("iris") == ("iris", 3)
    assert three.resolve("iris@challenger") == ("iris", 2)
    three.promote("iris@challenger")
    assert three.resolve("iris") == ("iris", 2)


def test_a_version_is_what_was_published(three: Registry, tmp_path: Path) -> None:
    made = open_artifact(tmp_path / "made2").manifest
    assert three.manifest("iris", 2) == made == open_artifact(three.fetch("iris", 2)).manifest
    claim = three.claim("iris", 2)
    assert claim is not None and (claim.by, claim.why, claim.digest) == ("ann", "seed 2", made.digest)


def test_the_same_content_has_the_same_digest(tmp_path: Path) -> None:
    one, two, other = (
        open_artifact(linear_artifact(tmp_path / str(at), seed=seed)).manifest.digest for at, seed in enumerate((1, 1, 2))
    )
    assert one == two != other


def test_history_tells_who_when_and_why(three: Registry) -> None:
    three.promote("iris@2", by="bob", why="fewer errors")
    three.promote("iris@2", by="eve", why="nothing changes")
    three.rollback("iris", by="ann", why="complaints")
    told = [(route.number, route.by, route.why, route.aliases["champion"]) for route in three.history("iris")]
    assert told == [(1, "ann", "seed 1", 1), (2, "bob", "fewer errors", 2), (3, "ann", "complaints", 1)]
    assert all(route.at.endswith("Z") for route in three.history("iris"))


def test_rollback_goes_back_step_by_step(three: Registry) -> None:
    three.promote("iris@2")
    three.promote("iris@3")
    assert [three.rollback("iris").aliases["champion"] for _ in range(2)] == [2, 1]
    with pytest.raises(NotFound, match="no version before"):
        three.rollback("iris")


def test_delete_refuses_what_a_route_uses_and_never_gives_a_number_again(three: Registry, tmp_path: Path) -> None:
    with pytest.raises(InUse, match="'champion'"):
        three.delete("iris@1")
    with pytest.raises(ConfigError, match="which version"):
        three.delete("iris")
    three.delete("iris@3", why="too large")
    assert three.versions("iris") == [1, 2]
    assert not [name for name in three.store.names("models/iris/versions") if "/3/" in name]
    with pytest.raises(NotFound):
        three.promote("iris@3")
    with pytest.raises(NotFound):
        three.manifest("iris", 3)
    assert three.publish(linear_artifact(tmp_path / "again")) == 4


def test_tags_are_kept_beside_the_version(three: Registry) -> None:
    three.tag("iris@2", {"team": "risk", "ticket": "17"})
    assert three.tag("iris@2", {"ticket": ""}).tags == {2: {"team": "risk"}}


def test_demote(three: Registry) -> None:
    three.promote("iris@2", "challenger")
    three.demote("iris@challenger")
    with pytest.raises(NotFound, match="no alias 'challenger'"):
        three.resolve("iris@challenger")
    with pytest.raises(ConfigError):
        three.demote("iris")


def test_what_is_damaged_is_not_published(registry: Registry, tmp_path: Path) -> None:
    folder = linear_artifact(tmp_path / "made")
    (folder / "linear.npz").write_bytes(b"something else")
    with pytest.raises(ArtifactError):
        registry.publish(folder)
    assert registry.store.names("models") == []


def test_verify_finds_what_was_changed_in_the_store(three: Registry, tmp_path: Path) -> None:
    assert [check.problem for check in three.verify()] == ["", "", ""]
    (tmp_path / "evil").write_bytes((tmp_path / "made1" / "linear.npz").read_bytes())
    three.store.upload("models/iris/versions/2/linear.npz", tmp_path / "evil")
    bad = {check.version: check.problem for check in three.verify("iris")}
    assert bad[1] == bad[3] == ""
    assert "linear.npz" in bad[2]
    with pytest.raises(ArtifactError):
        open_artifact(three.fetch("iris", 2))


@pytest.mark.parametrize("url", ["s3"], indirect=True)
def test_a_damaged_copy_is_fetched_again(three: Registry) -> None:
    folder = three.fetch("iris", 2)
    (folder / "linear.npz").write_bytes(b"bad")
    assert open_artifact(three.fetch("iris", 2)).folder == folder


def test_a_manifest_that_names_files_outside_is_refused_before_any_is_written(three: Registry, tmp_path: Path) -> None:
    manifest = json.loads((tmp_path / "made1" / FILENAME).read_bytes())
    manifest["files"]["../../escaped"] = manifest["files"].pop("golden.json")
    (tmp_path / "evil").write_text(json.dumps(manifest))
    three.store.upload("models/iris/versions/2/salver.json", tmp_path / "evil")
    with pytest.raises(ArtifactError, match="leaves the artifact"):
        open_artifact(three.fetch("iris", 2))
    assert "leaves the artifact" in three.verify("iris@2")[0].problem
    assert not list(tmp_path.rglob("escaped"))


def test_diff(three: Registry, tmp_path: Path) -> None:
    columns = (Column("x0", nullable=True), Column("x1"), Column("x3"), Column("new"))
    registry = three
    registry.publish(linear_artifact(tmp_path / "other", seed=1, columns=columns))
    changed = {change.what: (change.before, change.after) for change in registry.diff("iris", 1, 4)}
    assert changed["signature.columns.x0.nullable"] == (False, True)
    assert changed["signature.columns.new.dtype"] == (None, "float64")
    assert changed["signature.columns.x2.dtype"] == ("float64", None)
    assert changed["signature.order"] == (["x0", "x1", "x2", "x3"], ["x0", "x1", "x3", "new"])
    assert "digest" in changed and "files.linear.npz" not in changed
    assert registry.diff("iris", 1, 1) == []


def test_export_of_the_folder(three: Registry, tmp_path: Path) -> None:
    out = three.export("iris@2", tmp_path / "out")
    assert open_artifact(out).manifest == three.manifest("iris", 2)
    with pytest.raises(ConfigError, match="there already"):
        three.export("iris@2", out)


def test_what_was_never_finished_is_swept(three: Registry) -> None:
    claim = three.store.read("models/iris/claims/3.json", 10_000)
    assert claim is not None
    three.store.create("models/iris/claims/4.json", claim)
    three.store.create("models/iris/versions/4/linear.npz", b"half")
    assert three.versions("iris") == [1, 2, 3]
    assert three.unfinished("iris") == []  # its publisher may be at work still
    assert three.unfinished("iris", timedelta()) == [4] == three.sweep("iris", timedelta())[0:1]
    assert three.unfinished("iris", timedelta()) == []
    assert not [name for name in three.store.names("models/iris/versions") if "/4/" in name]
    assert three.versions("iris") == [1, 2, 3]


@pytest.mark.parametrize("url", ["folder"], indirect=True)
def test_what_was_being_written_is_swept_too(three: Registry) -> None:
    claim = three.store.read("models/iris/claims/3.json", 10_000)
    assert claim is not None
    three.store.create("models/iris/claims/4.json", claim)
    half = Path(three.store.url) / "models" / "iris" / "versions" / "4" / "model" / ".tmp-0123"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half a file")
    assert three.sweep("iris", timedelta()) == [4]
    assert not half.parent.parent.exists()


def test_a_publisher_whose_number_was_swept_is_told(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = registry.store.upload

    def swept_meanwhile(name: str, file: Path) -> None:
        upload(name, file)
        Registry(registry.store.url).sweep("iris", timedelta())

    monkeypatch.setattr(registry.store, "upload", swept_meanwhile)
    with pytest.raises(StoreError, match="publish again"):
        registry.publish(linear_artifact(tmp_path / "made"))
    assert registry.versions("iris") == []
    assert registry.models() == []


def test_a_version_of_other_columns_takes_over_only_when_that_is_said(three: Registry, tmp_path: Path) -> None:
    other = linear_artifact(tmp_path / "other", seed=9, columns=tuple(Column(name) for name in "abcd"))
    three.publish(other)
    for refused in (
        lambda: three.promote("iris@4"),
        lambda: three.canary("iris@4", 5),
        lambda: three.shadow("iris@4"),
    ):
        with pytest.raises(Incompatible, match="wants columns that are not sent: a, b, c, d"):
            refused()
    assert three.route("iris").number == 1, "nothing was written"
    three.promote("iris@4", "candidate")
    assert three.canary("iris@candidate", 5, other_columns=True).accepted == (4,)
    assert three.promote("iris@4", other_columns=True).canaries == ()
    with pytest.raises(Incompatible):
        three.promote("iris@1")
    assert three.rollback("iris").aliases["champion"] == 1, "the way back is open"
