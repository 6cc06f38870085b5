"""The process of a shadow that ends: when there is another, and what is counted meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from salver.artifact.artifact import open_artifact
from salver.artifact.trust import Policy
from salver.engine import shadow as module
from salver.engine.lane import Lane
from salver.engine.model import Model
from salver.engine.shadow import Mirror, Shadow
from salver.engine.trial import order_of
from salver.registry.registry import Registry
from tests.echo import echo_folder
from tests.engine.noted import Noted, until_told

_PATIENCE_S = 30.0


def _processes() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if "salver.engine.shadowing" in one.cmdline()]


async def _until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while not what():
            await asyncio.sleep(0.02)


async def _crash(shadow: Shadow) -> None:
    (process,) = _processes()
    process.kill()
    await _until(lambda: shadow.state == "restarting")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    registry = Registry(tmp_path / "store")
    registry.publish(echo_folder(tmp_path / "echo"))
    return tmp_path / "store"


def _shadow(store: Path) -> tuple[Lane, Shadow]:
    lane = Lane(Model(open_artifact(Registry(store).fetch("echo", 1)), 1), None)
    asked = Shadow(order_of(str(store), "echo", 1, Policy(), None))
    lane.mirror = Mirror([asked], "prediction")
    return lane, asked


def test_one_that_crashed_is_back_later_and_what_it_counted_stays(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.5)

    async def live() -> None:
        lane, shadow = _shadow(store)
        await _until(lambda: shadow.state == "ready")
        await until_told(lane, Noted([[1.0]]))
        await _until(lambda: shadow.total.equal == 1)
        await _crash(shadow)
        assert shadow.why == "its process ended (-9)"
        await until_told(lane, Noted([[2.0]]))
        assert shadow.dropped == 1
        await _until(lambda: shadow.state == "ready")
        await until_told(lane, Noted([[3.0]]))
        await _until(lambda: shadow.total.equal == 2)
        shadow.close()
        await shadow.ended()
        assert not _processes()

    asyncio.run(live())


def test_a_crash_is_not_followed_by_a_start_at_once(store: Path) -> None:
    async def live() -> None:
        _, shadow = _shadow(store)
        await _until(lambda: shadow.state == "ready")
        await _crash(shadow)
        await asyncio.sleep(1.0)  # many times what it takes to begin a process
        assert not _processes()
        shadow.close()
        await shadow.ended()

    asyncio.run(live())
