"""Ids of rows: the same for the same row of the same input, asked of the same version, whoever scores it and how often.

UUIDs of version 8 (RFC 9562): a digest of input and version, then the place of the file (20 bits) and of the row (42 bits).
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

ROW_BITS = 42
_DASHES = (8, 13, 18, 23)
_DIGITS = [at for at in range(36) if at not in _DASHES]
_HEX = np.frombuffer(b"".join(b"%02x" % value for value in range(256)), dtype="S2")


def seed_of(*facts: str) -> int:
    """The upper half of a job's ids, from what makes it the job that it is."""
    digest = int.from_bytes(hashlib.sha256("\0".join(facts).encode()).digest()[:8], "big")
    return (digest & ~0xF000) | 0x8000


def ids(seed: int, file: int, rows: range | list[int]) -> NDArray[np.bytes_]:
    """The ids of these rows of a file, as 36 characters each."""
    words = np.empty((len(rows), 2), dtype=">u8")
    words[:, 0] = seed
    words[:, 1] = np.asarray(rows, dtype=np.uint64) | np.uint64((2 << 62) | (file << ROW_BITS))
    text = np.full((len(rows), 36), b"-", dtype="S1")
    text[:, _DIGITS] = _HEX[words.view(np.uint8)].view("S1").reshape(len(rows), 32)
    return text.view("S36").ravel()
