"""Work in a thread that gives way: the event loop, and whoever else wants the processor, comes first."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")
_SWITCH_S = 0.0002
_running = 0
_usual_s = 0.005


async def in_background(work: Callable[[], _Result]) -> _Result:
    """What `work` returns or raises, done in a thread that runs when nobody else wants to, and stops when somebody does.

    Where it runs Python, the event loop gets its turn back after a fraction of a millisecond, not after five.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_Result] = loop.create_future()

    def settle(result: _Result | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(result)  # type: ignore[arg-type]
        else:
            done.set_exception(error)

    def run() -> None:
        if sys.platform == "linux":  # there, a thread has a policy of its own
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        result: _Result | None = None
        failure: BaseException | None = None
        try:
            result = work()
        except BaseException as error:
            failure = error
        loop.call_soon_threadsafe(settle, result, failure)

    thread = threading.Thread(target=run, name="salver-background", daemon=True)
    _hurry()
    try:
        thread.start()
        result = await done
        thread.join()  # telling us was the last thing that it did
        return result
    finally:
        _rest()


def _hurry() -> None:
    global _running, _usual_s
    if not _running:
        _usual_s = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_S)
    _running += 1


def _rest() -> None:
    global _running
    _running -= 1
    if not _running:
        sys.setswitchinterval(_usual_s)


def return_memory() -> None:
    """Give freed memory back to the system, where the C library keeps it otherwise."""
    import ctypes

    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):  # not glibc
        return
