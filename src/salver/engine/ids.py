"""Prediction ids: UUIDv7 (RFC 9562), so that they sort by time.

The ids of one batch share their random part and count up in the 12 bits between: made in one go, and unique.
"""

from __future__ import annotations

import os
import random
import time

ID_CHARACTERS = 36
_COUNTED = 4096
_HEX = [f"{i:03x}" for i in range(_COUNTED)]


class IdSource:
    """Makes the ids of batches."""

    def __init__(self) -> None:
        self._bits = random.Random(os.urandom(32)).getrandbits

    def batch(self, count: int, now_ms: int | None = None) -> list[str]:
        """`count` new ids, ascending."""
        ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        head = f"{(ms >> 16) & 0xFFFFFFFF:08x}-{ms & 0xFFFF:04x}-7"
        made: list[str] = []
        while count > 0:
            noise = self._bits(62)
            tail = f"-{(noise >> 48) | 0x8000:04x}-{noise & 0xFFFFFFFFFFFF:012x}"
            made += [f"{head}{middle}{tail}" for middle in _HEX[: min(count, _COUNTED)]]
            count -= _COUNTED
        return made
