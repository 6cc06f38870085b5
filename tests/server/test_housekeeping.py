"""The monitor that a server runs: a process of its own, again and again, whose death costs nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from salver.monitors.results import FOLDER
from salver.server.housekeeping import look_after
from tests.log.rows import some, write

PATIENCE_S = 60.0


def looks() -> list[psutil.Process]:
    """The looks at a log that this process started and that go on."""
    found: list[psutil.Process] = []
    for child in psutil.Process().children():
        try:
            if "--beside" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
        except psutil.NoSuchProcess:
            pass
    return found


def looked(log: Path) -> bool:
    """Whether a look has been made to its end."""
    return (log / FOLDER / "results").is_dir()


def look_until(log: Path, monitored: str | None, holds: Callable[[], bool]) -> None:
    """Look after a log until something holds. Raises TimeoutError."""

    async def wait() -> None:
        task = asyncio.create_task(look_after(log, look_s=0.05, monitored=monitored))
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds():
                    await asyncio.sleep(0.01)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(wait())


def test_the_monitor_looks_again_and_again(tmp_path: Path) -> None:
    write(tmp_path / "log", some(10))
    (tmp_path / "log" / "monitor.toml").write_text('slice = "1s"\n')
    seen: set[int] = set()

    def several() -> bool:
        seen.update(one.pid for one in looks())
        return len(seen) > 2

    look_until(tmp_path / "log", str(tmp_path), several)
    assert looked(tmp_path / "log")
    assert looks() == [], "none outlives who looks after the log"


def test_a_look_that_is_killed_is_told_and_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "log", some(10))
    killed: list[float] = []

    def again() -> bool:
        if not killed and (found := looks()):
            found[0].kill()
            killed.append(time.monotonic())
        return bool(killed) and looked(tmp_path / "log")

    with caplog.at_level(logging.WARNING, "salver"):
        look_until(tmp_path / "log", str(tmp_path), again)
    assert "salver monitor failed on the log" in caplog.text and "exit code -9" in caplog.text


def test_who_asks_for_no_monitor_gets_none(tmp_path: Path) -> None:
    write(tmp_path / "log", some(10))
    look_until(tmp_path / "log", None, lambda: bool(list(tmp_path.rglob("*.parquet"))))
    assert not (tmp_path / "log" / FOLDER).exists()
