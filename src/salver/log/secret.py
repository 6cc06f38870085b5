"""The key of keyed hashes: 32 bytes in the log's folder, made when they are first needed."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

FILE = "secret.key"
_BYTES = 32


def secret_of(log: Path) -> bytes:
    """The log's key. Of several processes that make it at once, one wins and all use its."""
    path = log / FILE
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    log.mkdir(parents=True, exist_ok=True)
    making = log / f".{FILE}.{secrets.token_hex(6)}"
    file = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, secrets.token_bytes(_BYTES))
        os.fsync(file)
    finally:
        os.close(file)
    try:
        os.link(making, path)
    except FileExistsError:
        pass
    finally:
        making.unlink()
    return path.read_bytes()
