"""Work in a thread that gives way: the event loop, and whoever else wants the processor, comes first."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, TypeVar

from salver.engine.aside import give_way

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
        give_way()
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


async def start_aside(module: str, *arguments: str, pass_fds: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """Start one of our modules as a program that gives way from its birth on (`engine/aside.py`). Its pipes are all open.

    It is started by a thread that gives way, since a process inherits that; and the event loop need not wait for it.
    """
    command = [sys.executable, "-m", "salver.engine.aside", module, *arguments]
    return await in_background(
        lambda: subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=pass_fds, process_group=0
        )
    )


class _UntilEnd(asyncio.StreamReaderProtocol):
    """Lets the pipe be closed when nothing more comes; uvloop leaves it open otherwise."""

    def eof_received(self) -> bool:
        super().eof_received()
        return False


async def lines_of(pipe: IO[bytes], limit_bytes: int = 2**16) -> asyncio.StreamReader:
    """What comes out of a process, to be awaited."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=limit_bytes)
    await loop.connect_read_pipe(lambda: _UntilEnd(reader), pipe)
    return reader


async def end(process: subprocess.Popen[bytes]) -> int:
    """End a program that was started aside, and what it has started itself: a model's own process. Returns its exit code."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    code = await asyncio.to_thread(process.wait)
    assert process.stdin
    process.stdin.close()
    return code


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
