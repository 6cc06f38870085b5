"""Who may let a model that runs code be read: the user's list, a signature, a hand; and what a policy refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from salver.artifact import signing
from salver.artifact.artifact import Artifact, describe_files, open_artifact, write_golden, write_manifest
from salver.artifact.manifest import SIGNATURE, Golden, Lowering, Manifest, RuntimeSpec
from salver.artifact.trust import Policy, listed, remember, require_admitted, runs_code
from salver.config import TRUSTED_VARIABLE
from salver.errors import ConfigError, Untrusted
from salver.types.framework import Framework
from salver.types.signature import Column, Output, Signature
from tests.echo import echo_folder


@pytest.fixture(autouse=True)
def own_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRUSTED_VARIABLE, str(tmp_path / "user" / "trusted.txt"))


def native(folder: Path, file: str = "model.pkl", lock: bool = False, trusts: tuple[str, ...] = ()) -> Artifact:
    folder.mkdir()
    (folder / file).write_bytes(b"I am never read here")
    if lock:
        (folder / "requirements.lock").write_text("numpy==1.0\n")
    write_golden(folder, Golden([[1.0]], {"prediction": [1.0]}, 0.0))
    write_manifest(
        folder,
        Manifest(
            name=folder.name,
            signature=Signature((Column("x0"),), (Output("prediction"),)),
            framework=Framework("test", "1", "None"),
            runtime=RuntimeSpec("native", file, "columns", trusts),
            lowering=Lowering("", 1.0),
            files=describe_files(folder),
            created="2026-01-01T00:00:00Z",
            python="3.11",
        ),
    )
    return open_artifact(folder)


def admitted(policy: Policy, artifact: Artifact, by_hand: bool = False) -> bool:
    artifact.admitted = False
    try:
        policy.admit(artifact, by_hand=by_hand)
    except Untrusted:
        with pytest.raises(Untrusted):
            require_admitted(artifact)
        return False
    require_admitted(artifact)
    return True


def test_data_is_let_in_by_every_policy(tmp_path: Path) -> None:
    data = [
        open_artifact(echo_folder(tmp_path / "echo")),
        native(tmp_path / "a", "model.ubj"),
        native(tmp_path / "b", "model.skops"),
    ]
    for artifact in data:
        assert runs_code(artifact.manifest) == ""
        assert all(admitted(Policy(rule), artifact) for rule in ("never", "listed", "trusted"))


@pytest.mark.parametrize("file", ["model.pkl", "model.joblib", "model.pt2", "model.py", "model", "model.PKL", "model.npy"])
def test_whatever_is_not_known_to_be_data_runs_code(tmp_path: Path, file: str) -> None:
    artifact = native(tmp_path / "model", file)
    assert file in runs_code(artifact.manifest)
    assert [admitted(Policy(rule), artifact) for rule in ("never", "listed", "trusted")] == [False, False, True]


def test_so_do_types_that_skops_does_not_know_and_packages_of_its_own(tmp_path: Path) -> None:
    assert "model.skops" in runs_code(native(tmp_path / "a", "model.skops", trusts=("a.b",)).manifest)
    assert "packages" in runs_code(native(tmp_path / "b", "model.ubj", lock=True).manifest)


def test_a_hand_is_consent_unless_never(tmp_path: Path) -> None:
    artifact = native(tmp_path / "model")
    assert [admitted(Policy(rule), artifact, by_hand=True) for rule in ("never", "listed", "trusted")] == [False, True, True]
    with pytest.raises(Untrusted, match="'never'"):
        Policy("never").admit_file(Path("model.pkl"))
    Policy("never").admit_file(Path("model.cbm"))
    Policy().admit_file(Path("model.pkl"))


def test_what_was_saved_is_listed_by_its_digest(tmp_path: Path) -> None:
    mine, other = native(tmp_path / "mine"), native(tmp_path / "other", "model.joblib")
    assert listed() == frozenset()
    for _ in range(2):
        remember(mine.manifest)
    assert listed() == {mine.manifest.digest}
    assert admitted(Policy(), mine)
    assert not admitted(Policy(), other)


def test_a_signature_needs_a_key() -> None:
    with pytest.raises(ConfigError, match="--public-key"):
        Policy(require_signature=True)


# Signatures


def keys(folder: Path) -> tuple[Path, Path]:
    """A new private key and its public half, in PEM."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "private.pem").write_bytes(private)
    (folder / "public.pem").write_bytes(public)
    return folder / "private.pem", folder / "public.pem"


def test_what_is_signed_is_let_in_and_nothing_else(tmp_path: Path) -> None:
    artifact = native(tmp_path / "model")
    private, public = keys(tmp_path / "keys")
    _, foreign = keys(tmp_path / "foreign")
    policy = Policy(require_signature=True, public_key=public)
    assert not admitted(policy, artifact)
    signing.sign(artifact.folder, private)
    artifact = open_artifact(artifact.folder)  # a signature beside it changes nothing
    assert admitted(policy, artifact)
    assert admitted(Policy(public_key=public), artifact)
    assert not admitted(Policy("never", public_key=public), artifact)
    assert not admitted(Policy(), artifact)  # nobody holds the signature against a key
    assert not admitted(Policy("trusted", require_signature=True, public_key=foreign), artifact)


def test_a_signature_holds_for_every_byte(tmp_path: Path) -> None:
    artifact = native(tmp_path / "model")
    private, public = keys(tmp_path / "keys")
    signing.sign(artifact.folder, private)
    signing.verify(artifact.folder, public)
    (artifact.folder / "model.pkl").write_bytes(b"I am another")
    with pytest.raises(Untrusted, match="does not hold"):
        signing.verify(artifact.folder, public)
    (artifact.folder / SIGNATURE).write_text("{}")
    with pytest.raises(Untrusted, match="does not hold"):
        signing.verify(artifact.folder, public)
    (artifact.folder / SIGNATURE).unlink()
    with pytest.raises(Untrusted, match="no signature"):
        signing.verify(artifact.folder, public)


def test_a_key_that_is_none_is_told(tmp_path: Path) -> None:
    artifact = native(tmp_path / "model")
    (tmp_path / "key").write_text("no key")
    with pytest.raises(ConfigError, match="elliptic-curve"):
        signing.sign(artifact.folder, tmp_path / "key")
    with pytest.raises(ConfigError, match="no key at"):
        signing.verify(artifact.folder, tmp_path / "none")
