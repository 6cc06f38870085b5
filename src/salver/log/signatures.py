"""Beside its lines, the log holds the signature of each model that writes to it: which classes its probabilities are of."""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec

from salver.types.signature import Signature

FOLDER = "signatures"


def note(log: Path, model: str, version: int, signature: Signature) -> None:
    """Keep a version's signature. A log that can't be written has other ways to say so."""
    path = log / FOLDER / f"{model}@{version}.json"
    content = msgspec.json.encode(signature)
    try:
        if path.is_file() and path.read_bytes() == content:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        writing = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        writing.write_bytes(content)
        writing.replace(path)
    except OSError:
        return


def noted_of(log: Path, model: str, version: int) -> Signature | None:
    """The signature of one version; None when it never wrote to the log."""
    path = log / FOLDER / f"{model}@{version}.json"
    return msgspec.json.decode(path.read_bytes(), type=Signature) if path.is_file() else None


def noted(log: Path, model: str) -> Signature | None:
    """The signature of a model's highest version that wrote to the log."""
    found = (log / FOLDER).glob(f"{model}@*.json")
    versions = sorted((int(path.stem.rpartition("@")[2]), path) for path in found)
    return msgspec.json.decode(versions[-1][1].read_bytes(), type=Signature) if versions else None
