"""Ids of messages: always the same for the same message, so that an answer that comes twice is known. UUIDs of version 8."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from salver.stream.contract import Message

_COUNTED = 2**48 - 1
"""What twelve hexadecimal digits hold: more messages than any place of a source will see."""


class Ids(dict[str, str]):
    """Makes the ids of the messages of one source: 72 bits say which place in it, 48 the number there.

    Where a source has names for its messages instead of numbers, all 120 bits are of what says where it is. As a dict it
    remembers what the ids of each place begin with.
    """

    def __init__(self, source: str) -> None:
        self._start = hashlib.blake2b(f"{source}\0".encode(), digest_size=16)

    def __call__(self, messages: Sequence[Message]) -> list[str]:
        return [
            f"{self[message.place]}{message.number & _COUNTED:012x}"
            if type(message.number) is int
            else self._hashed(message.position)
            for message in messages
        ]

    def __missing__(self, place: str) -> str:
        begins = self[place] = self._hashed(place)[:-12]
        return begins

    def _hashed(self, text: str) -> str:
        made = self._start.copy()
        made.update(text.encode())
        digits = made.hexdigest()
        return f"{digits[:8]}-{digits[8:12]}-8{digits[12:15]}-8{digits[15:18]}-{digits[18:30]}"
