"""Run a module as a program that gives way from its very first import: `python -m salver.engine.aside MODULE …`.

What it imports is most of the work that a short program does. It stays in the session of its parent: one of its own would
have a share of the processor of its own, on Linux that groups by session, however low its priority.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
import time
from collections.abc import Set
from pathlib import Path

_BUSY = 0.75
"""Of the processors that may be used, by the load average: below, there is surely something left."""

_IDLE = 0.1
"""Of a processor: what must be left over for those that only take what is left."""

_LOOKED_S = 0.1


def give_way() -> None:
    """Let everybody else have the processor first: for this thread, and what it starts, where threads have priorities."""
    if sys.platform != "linux":
        return
    processors = os.sched_getaffinity(0)
    if os.getloadavg()[0] < _BUSY * len(processors) or _idle(processors) > _IDLE:
        # Niceness alone would let it finish its slice, milliseconds long, while a request waits.
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:  # where nobody is ever idle, it would never get on
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)


def _idle(processors: Set[int]) -> float:
    """How many of these processors nobody uses right now, looked at for a tenth of a second."""
    before = _idle_ticks(processors)
    time.sleep(_LOOKED_S)
    return (_idle_ticks(processors) - before) / os.sysconf("SC_CLK_TCK") / _LOOKED_S


def _idle_ticks(processors: Set[int]) -> int:
    """By proc_stat(5): of each line `cpuN`, the fourth number and, waiting for a disk, the fifth."""
    rows = (line.split() for line in Path("/proc/stat").read_text().splitlines())
    wanted = {f"cpu{number}" for number in processors}
    return sum(int(row[4]) + int(row[5]) for row in rows if row[0] in wanted)


def step_aside() -> None:
    """Be the first to go when there is no memory left. Whoever started this gives way already, and so does what it starts."""
    if sys.platform == "linux":
        Path("/proc/self/oom_score_adj").write_text("1000")


if __name__ == "__main__":
    step_aside()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
