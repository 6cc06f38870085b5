"""Looking after the log beside serving, in processes of their own: what is sealed becomes cold, what is too old goes.

The accuracy that `/metrics` shows is measured here too.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from importlib.util import find_spec
from pathlib import Path

from salver.errors import SalverError
from salver.log.table import KINDS, LABELS, Table

logger = logging.getLogger("salver")

LOOK_S = 60.0
RETAIN_S = 3600.0
MEASURE_S = 600.0
_ASIDE = ["nice", "-n", "10"] if shutil.which("nice") else []
"""From their very first import on: predictions come first."""


async def look_after(log: Path, look_s: float = LOOK_S, measure_s: float = MEASURE_S, monitored: str | None = None) -> None:
    """Every `look_s`, compact what is sealed; every hour, remove what is too old or too much even when nothing is.

    Every `measure_s`, measure the accuracy of models that have labels. With `monitored`, the URL of the store that has the
    profiles, the monitor looks at the log when a slice is over; where several servers write to a log, one at a time. It waits
    for nothing else: where there is more to compact than time to do it, alarms come all the same.
    """
    async with asyncio.TaskGroup() as group:
        group.create_task(_keep(log, look_s, measure_s))
        if monitored is not None and find_spec("duckdb") is not None and find_spec("pyarrow") is not None:
            group.create_task(_monitor(log, look_s, monitored))


async def _keep(log: Path, look_s: float, measure_s: float) -> None:
    clock = asyncio.get_running_loop().time
    looked_s = measured_s = clock()
    while True:
        await asyncio.sleep(look_s)
        if clock() - looked_s >= RETAIN_S or await asyncio.to_thread(_has_sealed, log):
            looked_s = clock()
            await _run(log, "salver.log.compact", str(log))
        if clock() - measured_s >= measure_s and (log / LABELS).is_dir():
            measured_s = clock()
            await _run(log, "salver.monitors.measured", str(log))


async def _monitor(log: Path, look_s: float, store: str) -> None:
    while True:
        await asyncio.sleep(look_s)
        if await asyncio.to_thread(_is_due, log):
            await _run(log, "salver monitor", "--beside", "--log", str(log), "--store", store)


def _is_due(log: Path) -> bool:
    """Whether the monitor would look: to start it for nothing would cost more than its look at a quiet log."""
    from salver.monitors.results import looked_us
    from salver.monitors.settings import read_settings

    try:
        return read_settings(log).is_due(looked_us(log), time.time_ns() // 1000)
    except SalverError:
        return True  # it will say what is wrong


def _has_sealed(log: Path) -> bool:
    return find_spec("duckdb") is not None and any(Table(log, kind).sealed() for kind in KINDS)


async def _run(log: Path, command: str, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *_ASIDE, sys.executable, "-m", *command.split(), *arguments, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
    )
    try:
        _, said = await process.communicate()
    finally:
        if process.returncode is None:  # told to stop meanwhile; whenever it is killed, the log stays whole
            process.kill()
            await process.wait()
    if process.returncode:
        why = said.decode(errors="replace").strip()[-500:] or f"exit code {process.returncode}"
        logger.warning("%s failed on the log in %s, and is tried again: %s", command, log, why)
