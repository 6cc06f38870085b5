"""Signatures of artifacts, by OpenSSF model-signing with a key pair: proof of who made a model, wherever it was since.

What is signed is every file of the folder, the manifest too. The signature lies beside them in `salver.sig`. The library brings
much with it, so a server has it verify in a process of its own: `python -m salver.artifact.signing FOLDER PUBLIC_KEY`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from salver.artifact.manifest import SIGNATURE
from salver.errors import ConfigError, Untrusted

SIGNATURE_LIMIT_BYTES = 2**20

_VERIFY_S = 600.0
_MISSING, _WRONG = 3, 4


def sign(folder: Path, private_key: Path) -> Path:
    """Sign the artifact in `folder` with an elliptic-curve key in PEM. Returns the signature's file. Raises ConfigError."""
    _require_file(private_key)
    try:
        from model_signing import signing
    except ModuleNotFoundError as error:
        raise _not_installed() from error
    config = signing.Config().set_hashing_config(_hashing(folder))
    made = folder / SIGNATURE
    try:
        config.use_elliptic_key_signer(private_key=private_key).sign(folder, made)
    except ValueError as error:
        raise ConfigError(
            f"{private_key.name} is no private key that can sign: it must be an elliptic-curve key in PEM"
        ) from error
    return made


def verify(folder: Path, public_key: Path) -> None:
    """Return when `folder` is as the owner of the key signed it. Raises Untrusted, or ConfigError for no key."""
    _require_file(public_key)
    signature = folder / SIGNATURE
    if signature.is_symlink() or not signature.is_file() or signature.stat().st_size > SIGNATURE_LIMIT_BYTES:
        raise Untrusted(f"{folder.name}: it has no signature, or one that is no plain file", code="unsigned")
    command = [sys.executable, "-m", "salver.artifact.signing", str(folder), str(public_key)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_VERIFY_S)
    except subprocess.TimeoutExpired:
        raise Untrusted(f"{folder.name}: verifying its signature took too long", code="unsigned") from None
    if done.returncode == _MISSING:
        raise _not_installed()
    if done.returncode:
        raise Untrusted(
            f"{folder.name}: its signature does not hold: another key, or a file that was changed since", code="unsigned"
        )


def _verify_here(folder: Path, public_key: Path) -> int:
    try:
        from model_signing import verifying
    except ModuleNotFoundError:
        return _MISSING
    config = verifying.Config().use_elliptic_key_verifier(public_key=public_key).set_hashing_config(_hashing(folder))
    try:
        config.verify(folder, folder / SIGNATURE)
    except Exception as error:
        print(type(error).__name__, file=sys.stderr)
        return _WRONG
    return 0


def _hashing(folder: Path) -> Any:
    from model_signing import hashing

    return hashing.Config().set_ignored_paths(paths=[folder / SIGNATURE], ignore_git_paths=False)


def _require_file(key: Path) -> None:
    if not key.is_file():
        raise ConfigError(f"no key at {key}")


def _not_installed() -> ConfigError:
    return ConfigError("signatures need the package model-signing: pip install 'salver[sign]'")


if __name__ == "__main__":
    sys.exit(_verify_here(Path(sys.argv[1]), Path(sys.argv[2])))
