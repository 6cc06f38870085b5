"""A table in memory that the workers of a server share: what each last said of itself, for all the others to read.

A worker writes its own place a few times a second and nobody else does, so there is nothing to lock. What it wrote outlives it.
"""

from __future__ import annotations

import mmap
import struct

ROOM_BYTES = 2**20
"""The most that a worker may say. Memory that is never written is never taken."""

_TURN = struct.Struct("=Q")  # how often a place was written
_SIZE = struct.Struct("=I")
_HALF_BYTES = _SIZE.size + ROOM_BYTES
_PLACE_BYTES = _TURN.size + 2 * _HALF_BYTES + 4  # a whole number of words


class Board:
    """Places for `workers` workers. It must be made before they are forked."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._memory = mmap.mmap(-1, workers * _PLACE_BYTES)

    def write(self, place: int, said: bytes) -> None:
        """Say this from now on. Raises ValueError when it is more than there is room for."""
        if len(said) > ROOM_BYTES:
            raise ValueError(f"a worker said {len(said)} bytes; there is room for {ROOM_BYTES}")
        turn = self._turn(place) + 1
        # The last writing stays as it is until this one is whole.
        half = self._half(place, turn)
        _SIZE.pack_into(self._memory, half, len(said))
        half += _SIZE.size
        self._memory[half : half + len(said)] = said
        _TURN.pack_into(self._memory, place * _PLACE_BYTES, turn)

    def read(self, place: int) -> bytes:
        """What was last said there; nothing before the first time."""
        while True:
            turn = self._turn(place)
            half = self._half(place, turn)
            (size,) = _SIZE.unpack_from(self._memory, half)
            half += _SIZE.size
            said = self._memory[half : half + size]
            if self._turn(place) == turn:
                return said

    def _turn(self, place: int) -> int:
        return _TURN.unpack_from(self._memory, place * _PLACE_BYTES)[0]

    def _half(self, place: int, turn: int) -> int:
        return place * _PLACE_BYTES + _TURN.size + turn % 2 * _HALF_BYTES
