"""Looking after the log beside serving, in processes of their own: what is sealed becomes cold, what is too old goes.

The accuracy that `/metrics` shows is measured here too.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from asyncio.subprocess import DEVNULL, PIPE
from importlib.util import find_spec
from pathlib import Path

from salver.log.table import KINDS, LABELS, Table

logger = logging.getLogger("salver")

LOOK_S = 60.0
RETAIN_S = 3600.0
MEASURE_S = 600.0
AGAIN_S = 1.0


async def look_after(log: Path, look_s: float = LOOK_S, measure_s: float = MEASURE_S) -> None:
    """Every `look_s`, compact what is sealed; every hour, remove what is too old or too much even when nothing is.

    Every `measure_s`, measure the accuracy of models that have labels.
    """
    clock = asyncio.get_running_loop().time
    looked_s = measured_s = clock()
    while True:
        await asyncio.sleep(look_s)
        if clock() - looked_s >= RETAIN_S or await asyncio.to_thread(_has_sealed, log):
            looked_s = clock()
            await _run("salver.log.compact", log)
        if clock() - measured_s >= measure_s and (log / LABELS).is_dir():
            measured_s = clock()
            await _run("salver.monitors.measured", log)


async def monitor(log: Path, store: str) -> None:
    """Keep a monitor of the log running, in a process of its own that ends with this one.

    One that ends is started again soon; one that ends again and again, after twice as long each time, up to a minute.
    Where several servers write to a log, all but one of their monitors wait for their turn.
    """
    if find_spec("duckdb") is None or find_spec("pyarrow") is None:
        return
    command = [sys.executable, "-m", "salver", "monitor", "--with-parent", "--log", str(log), "--store", store]
    clock, again_s = asyncio.get_running_loop().time, AGAIN_S
    while True:
        started_s = clock()
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stderr=PIPE)
        assert process.stderr is not None
        try:
            said = await process.stderr.read()  # its standard input stays open for as long as this process is there
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        again_s = AGAIN_S if clock() - started_s > LOOK_S else min(again_s * 2, LOOK_S)
        why = said.decode(errors="replace").strip()[-500:] or f"exit code {process.returncode}"
        logger.warning("the monitor ended: %s; it is started again in %g s", why, again_s)
        await asyncio.sleep(again_s)


def _has_sealed(log: Path) -> bool:
    return find_spec("duckdb") is not None and any(Table(log, kind).sealed() for kind in KINDS)


async def _run(module: str, log: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, str(log), stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
    )
    try:
        _, said = await process.communicate()
    finally:
        if process.returncode is None:  # told to stop meanwhile; whenever it is killed, the log stays whole
            process.kill()
            await process.wait()
    if process.returncode:
        logger.warning("%s failed on the log in %s: %s", module, log, said.decode(errors="replace").strip()[-500:])
