"""A job on this machine: a thread a core, each with a model of its own, and each reading, scoring and writing parts of its own.

pyarrow, numpy and ONNX Runtime release the interpreter while they work, so the threads really share the cores, and while one
reads another scores. What is in memory is a chunk a thread, whatever the size of the input.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from salver.batch.part import Told, Worker
from salver.batch.plan import Part


class Stopped(Exception):
    """The part ends here, because the job does."""


def do(parts: list[Part], worker: Callable[[], Worker], threads: int, told: Told, tick: Callable[[], None]) -> None:
    """Do these parts. `tick` is called about every second while they are done. Raises the first error of any of them."""
    stopping = threading.Event()
    waiting = iter(parts)
    turn = threading.Lock()

    def hear(rows: int, bad: int) -> None:
        told(rows, bad)
        if stopping.is_set():
            raise Stopped

    def work() -> None:
        mine = worker()
        try:
            while not stopping.is_set():
                with turn:
                    part = next(waiting, None)
                if part is None:
                    return
                mine.do(part, hear)
        finally:
            mine.close()

    with ThreadPoolExecutor(threads, thread_name_prefix="salver-batch") as pool:
        running = {pool.submit(work) for _ in range(min(threads, len(parts)))}
        try:
            while running:
                done, running = wait(running, timeout=1.0, return_when=FIRST_EXCEPTION)
                for one in done:
                    one.result()
                tick()
        finally:
            stopping.set()  # whoever is still at it ends at its next chunk
