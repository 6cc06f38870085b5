"""Whether a model that runs code when it is read may be read.

A lowered model is data. A native one is a pickle, a program, or a model whose packages the artifact names: reading it runs what
its maker wrote. So it is read only when it comes from somebody the policy trusts: the user who serves the file by their own
hand, the list of models that this user saved, or a signature that is verified.
"""

from __future__ import annotations

import os
import time
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec

from salver.artifact import signing
from salver.artifact.artifact import Artifact
from salver.artifact.manifest import SIGNATURE, Manifest
from salver.config import trusted_file
from salver.errors import ConfigError, Untrusted

LOCK = "requirements.lock"

_DATA = (".json", ".ubj", ".txt", ".lgb", ".cbm", ".onnx")
"""Files of models that hold numbers and names only."""

PickleRule = Literal["never", "listed", "trusted"]


class Policy(msgspec.Struct, frozen=True):
    """`pickle` "never": nothing that runs code is read. "listed": what this user saved, what is signed with the other half of
    `public_key`, and files served by hand. "trusted": everything. `require_signature`: what has no such signature is refused.
    """

    pickle: PickleRule = "listed"
    require_signature: bool = False
    public_key: Path | None = None

    def __post_init__(self) -> None:
        if self.require_signature and self.public_key is None:
            raise ConfigError("a signature can be required only with the key to verify it: --public-key FILE")

    def admit(self, artifact: Artifact, *, by_hand: bool = False) -> Artifact:
        """Let an audited artifact be woken, and return it. `by_hand`: made from a file that the user serves by their own hand.

        Raises Untrusted, which says what would make it trusted.
        """
        manifest = artifact.manifest
        signed = self._is_signed(artifact.folder)
        if self.require_signature and not signed:
            raise Untrusted(f"{manifest.name} is not signed, and a signature is required: salver sign", code="unsigned")
        reason = runs_code(manifest)
        if reason and not self._may_run(manifest, by_hand or signed):
            raise Untrusted(
                f"{manifest.name} is not read: {reason}, and reading that runs code. "
                + _way_out(self.pickle, "its digest is not among those that you saved, and it has no verified signature")
            )
        artifact.admitted = True
        return artifact

    def admit_file(self, file: Path) -> None:
        """Let a model file that the user serves by their own hand be read. Raises Untrusted."""
        if self.require_signature:
            raise Untrusted(f"{file.name} can't be signed; save it as a model, sign that and serve it", code="unsigned")
        if self.pickle == "never" and (file.is_dir() or file.suffix.lower() not in _DATA):
            raise Untrusted(f"{file.name} is not read: reading it runs code. " + _way_out("never", ""))

    def _is_signed(self, folder: Path) -> bool:
        if self.public_key is None or not (folder / SIGNATURE).exists():
            return False
        signing.verify(folder, self.public_key)
        return True

    def _may_run(self, manifest: Manifest, vouched: bool) -> bool:
        if self.pickle != "listed":
            return self.pickle == "trusted"
        return vouched or manifest.digest in listed()


def runs_code(manifest: Manifest) -> str:
    """What in the artifact runs code when the model is read; empty when nothing does."""
    spec = manifest.runtime
    if spec.kind != "native":
        return ""
    suffix = PurePosixPath(spec.file).suffix.lower()
    if suffix not in _DATA and (suffix != ".skops" or spec.trusts):
        return f"its model is {spec.file}"
    return "it brings the list of its own packages" if LOCK in manifest.files else ""


def require_admitted(artifact: Artifact) -> None:
    """Raises Untrusted for an artifact that runs code and that no policy has let in."""
    if not artifact.admitted and runs_code(artifact.manifest):
        raise Untrusted(f"{artifact.manifest.name} runs code when it is read, and no policy has let it in")


def remember(manifest: Manifest) -> None:
    """Put a model on this user's list: from now on it is trusted here."""
    file = trusted_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    line = f"{manifest.digest} {manifest.name} {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}\n"
    # One write of one line: of several who save at once, none loses theirs.
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def listed() -> frozenset[str]:
    """The digests on this user's list."""
    try:
        lines = trusted_file().read_text().splitlines()
    except FileNotFoundError:
        return frozenset()
    return frozenset(line.split()[0] for line in lines if line.strip())


def _way_out(rule: PickleRule, why: str) -> str:
    if rule == "never":
        return "The policy is 'never': save it as a lowered model, or serve with --pickle listed"
    return f"It is not trusted here: {why}. Look at it, then `salver trust` it, or serve with --public-key or --pickle trusted"
