"""A timer of the kernel, as a file: an event loop's own go by the millisecond, which is longer than an answer takes."""

from __future__ import annotations

import ctypes
import os
import struct
from contextlib import suppress

_CLOCK_MONOTONIC = 1


class Alarm:
    """Makes its descriptor readable when the time has come."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def set(self, wait_s: float) -> None:
        """Become readable once, after that long."""
        wait_ns = max(1, int(wait_s * 1e9))
        self._libc.timerfd_settime(self.descriptor, 0, struct.pack("4q", 0, 0, *divmod(wait_ns, 10**9)), None)

    def clear(self) -> None:
        with suppress(BlockingIOError):
            os.read(self.descriptor, 8)

    def close(self) -> None:
        os.close(self.descriptor)
