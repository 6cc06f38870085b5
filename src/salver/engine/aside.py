"""Run a module as a program that gives way from its very first import: `python -m salver.engine.aside MODULE …`.

What it imports is most of the work that a short program does. It stays in the session of its parent: one of its own would
have a share of the processor of its own, on Linux that groups by session, however low its priority.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
from pathlib import Path

_BUSY = 0.75
"""Of the processors that may be used: where more are taken, nothing is left to those that only take what is left."""


def give_way() -> None:
    """Let everybody else have the processor first: for this thread, and what it starts, where threads have priorities."""
    if sys.platform != "linux":
        return
    if os.getloadavg()[0] < _BUSY * len(os.sched_getaffinity(0)):
        # Niceness alone would let it finish its slice, milliseconds long, while a request waits.
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:  # where nobody is ever idle, it would never get on
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)


def step_aside() -> None:
    """Give way to whatever else wants the processor, and to whatever else wants the memory."""
    give_way()
    if sys.platform == "linux":
        Path("/proc/self/oom_score_adj").write_text("1000")


if __name__ == "__main__":
    step_aside()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
