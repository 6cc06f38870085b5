"""What workers say of themselves, across processes."""

from __future__ import annotations

import os
import time

import pytest

from salver.server.board import ROOM_BYTES, Board


def test_a_place_says_what_was_last_written_there() -> None:
    board = Board(2)
    assert [board.read(0), board.read(1)] == [b"", b""]
    for said in (b"first", b"second, longer", b""):
        board.write(1, said)
        assert [board.read(0), board.read(1)] == [b"", said]


def test_more_than_there_is_room_for_is_refused_and_changes_nothing() -> None:
    board = Board(1)
    board.write(0, b"x" * ROOM_BYTES)
    with pytest.raises(ValueError, match="room"):
        board.write(0, b"x" * (ROOM_BYTES + 1))
    assert len(board.read(0)) == ROOM_BYTES


def test_what_a_process_writes_is_never_read_in_half() -> None:
    board = Board(1)
    child = os.fork()
    if not child:
        for turn in range(20_000):
            board.write(0, bytes([turn % 256]) * (1 + turn % 5000))
        os._exit(0)
    seen: set[bytes] = set()
    while not seen or os.waitpid(child, os.WNOHANG) == (0, 0):
        said = board.read(0)
        assert len(set(said)) <= 1
        seen.add(said[:1])
        time.sleep(0)
    assert len(seen) > 10
    assert board.read(0) == bytes([19_999 % 256]) * (1 + 19_999 % 5000)
