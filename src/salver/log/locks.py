"""Locks on files that the system lets go when their process ends, however it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


def take(file: int, *, wait: bool = False) -> bool:
    """Lock an open file until it is closed; False when somebody else has it. Where there are no such locks, always False."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock on a file: what it has now is all it will ever have."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return take(file)
    finally:
        os.close(file)


@contextmanager
def held(path: Path, *, wait: bool = False) -> Generator[bool]:
    """The lock of a file that is made for it; gives False when somebody else has it and nobody is to be waited for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        yield take(file, wait=wait)
    finally:
        os.close(file)
