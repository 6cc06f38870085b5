"""Looking after the log beside serving, in processes of their own: what is sealed becomes cold, what is too old goes."""

from __future__ import annotations

import asyncio
import logging
import sys
from asyncio.subprocess import DEVNULL, PIPE
from importlib.util import find_spec
from pathlib import Path

from salver.log.table import KINDS, Table

logger = logging.getLogger("salver")

LOOK_S = 60.0
RETAIN_S = 3600.0


async def look_after(log: Path, look_s: float = LOOK_S) -> None:
    """Every `look_s`, compact what is sealed; every hour, remove what is too old or too much even when nothing is."""
    clock = asyncio.get_running_loop().time
    looked_s = clock()
    while True:
        await asyncio.sleep(look_s)
        if clock() - looked_s >= RETAIN_S or await asyncio.to_thread(_has_sealed, log):
            looked_s = clock()
            await _compact(log)


def _has_sealed(log: Path) -> bool:
    return find_spec("duckdb") is not None and any(Table(log, kind).sealed() for kind in KINDS)


async def _compact(log: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "salver.log.compact", str(log), stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
    )
    _, said = await process.communicate()
    if process.returncode:
        logger.warning("the log in %s was not compacted: %s", log, said.decode(errors="replace").strip()[-500:])
