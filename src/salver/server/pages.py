"""The process that makes the dashboard's pages, as the server sees it: started when somebody looks, let go when nobody did for
a while. The event loop hands on questions and answers, and nothing more: templates and queries are the process's.
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from salver.errors import Unavailable

if TYPE_CHECKING:
    from salver.dashboard.messages import Caller, Facts, Page

BEAT_S, TOLD_S = 5.0, 1.0
"""How often the process is told what was counted; before a page is made, it was told so long ago at most."""
IDLE_S = 900.0
WOKEN_S = 10.0
"""Where it does not come up in so long, whoever looks waits for it, and is told why."""
FRESH_S = 2.0
"""A page that was made for somebody is good enough for everybody who may see the same, for so long."""
_KEPT = 64

_Key = tuple[str, str, Any]


class _Shared:
    """A page that is being made, or was just made, for all who ask for it."""

    __slots__ = ("made", "until_s", "waiting")

    def __init__(self, made: asyncio.Task[Page]) -> None:
        self.made = made
        self.waiting = 0
        self.until_s = float("inf")


class PageProcess:
    """Asks the process for pages. `facts` is called for what only the server knows."""

    def __init__(self, log: str, store: Callable[[], str], facts: Callable[[], Facts]) -> None:
        self._log = log
        self._store = store
        self._facts = facts
        self._process: Process | None = None
        self._starting = asyncio.Lock()
        self._waiting: dict[int, tuple[Process, asyncio.Future[Page]]] = {}
        self._shared: dict[_Key, _Shared] = {}
        self._asked = 0
        self._last_s = self._told_s = 0.0
        self._woken_s = -WOKEN_S
        self._tasks: set[asyncio.Task[Any]] = set()

    async def page(self, page: str, query: str, caller: Caller) -> Page:
        """A page that depends on nothing but these. Raises Unavailable. It is given up when the last who waits is cancelled."""
        key = (page, query, caller)
        shared = self._shared.get(key)
        if shared is None or shared.until_s < time.monotonic():
            shared = self._shared[key] = _Shared(asyncio.ensure_future(self.ask(page, query, caller, {})))
            shared.made.add_done_callback(lambda _, one=shared: self._made(key, one))
        shared.waiting += 1
        try:
            return await asyncio.shield(shared.made)
        finally:
            shared.waiting -= 1
            if not shared.waiting and not shared.made.done():
                self._drop(key, shared)  # whoever asks from now on does not get what is given up
                shared.made.cancel()

    def woken(self) -> bool:
        """Whether the process slept: then it is started, for the page that will be asked for next."""
        now_s = time.monotonic()
        awake = self._starting.locked() or (self._process is not None and self._process.returncode is None)
        if awake or now_s - self._woken_s < WOKEN_S:
            return False
        self._woken_s = now_s
        self._keep(self._started())
        return True

    def forget(self) -> None:
        """Make every page anew: something was changed."""
        self._shared.clear()
        self._told_s = 0.0

    async def ask(self, page: str, query: str, caller: Caller, given: dict[str, Any]) -> Page:
        """A page that is made for one who asks, by a new process where the old one ends meanwhile. Raises Unavailable."""
        try:
            return await self._ask(page, query, caller, given)
        except Unavailable:
            return await self._ask(page, query, caller, given)

    async def _ask(self, page: str, query: str, caller: Caller, given: dict[str, Any]) -> Page:
        from salver.dashboard.messages import Ask, Cancel

        process = await self._started()
        self._last_s = time.monotonic()
        if self._last_s - self._told_s > TOLD_S:
            await self._tell(process)
        self._asked += 1
        number = self._asked
        answer: asyncio.Future[Page] = asyncio.get_running_loop().create_future()
        self._waiting[number] = process, answer
        try:
            await self._send(process, Ask(number, page, query, caller, given))
            return await answer
        except asyncio.CancelledError:
            with suppress(Unavailable):
                await self._send(process, Cancel(number))
            raise
        finally:
            self._waiting.pop(number, None)

    def _made(self, key: _Key, shared: _Shared) -> None:
        if shared.made.cancelled() or shared.made.exception():
            self._drop(key, shared)
            return
        now_s = time.monotonic()
        shared.until_s = now_s + FRESH_S
        if len(self._shared) > _KEPT:
            self._shared = {key: one for key, one in self._shared.items() if one.until_s >= now_s}

    def _drop(self, key: _Key, shared: _Shared) -> None:
        if self._shared.get(key) is shared:
            del self._shared[key]

    async def _started(self) -> Process:
        async with self._starting:
            process = self._process
            if process is None or process.returncode is not None:
                arguments = ("salver.dashboard.process", self._log, self._store())
                process = self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", *arguments, stdin=PIPE, stdout=PIPE
                )
                await self._tell(process)
                self._keep(self._read(process))
                self._keep(self._beat(process))
            return process

    def _keep(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self, process: Process) -> None:
        self._told_s = time.monotonic()
        await self._send(process, self._facts())

    async def _send(self, process: Process, message: Any) -> None:
        from salver.dashboard.messages import framed

        assert process.stdin
        try:
            process.stdin.write(framed(message))
            await process.stdin.drain()
        except OSError as error:
            if self._process is process:
                self._process = None
            raise Unavailable("the process that makes the pages has ended; load the page again") from error

    async def _read(self, process: Process) -> None:
        from salver.dashboard.messages import LENGTH, decode_page

        assert process.stdout
        try:
            while True:
                (size,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
                page = decode_page(await process.stdout.readexactly(size))
                _, answer = self._waiting.get(page.id, (None, None))
                if answer is not None and not answer.done():
                    answer.set_result(page)
        except asyncio.IncompleteReadError:
            self._ended(process)
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
            await process.wait()

    def _ended(self, process: Process) -> None:
        if self._process is process:
            self._process = None
        for asked, answer in self._waiting.values():
            if asked is process and not answer.done():
                answer.set_exception(Unavailable("the process that makes the pages has ended; load the page again"))

    async def _beat(self, process: Process) -> None:
        """Tell what was counted, until nobody has looked for a while."""
        while process.returncode is None:
            await asyncio.sleep(BEAT_S)
            if time.monotonic() - self._last_s > IDLE_S and not self._waiting:
                self._process = None
                assert process.stdin
                process.stdin.close()
                return
            with suppress(Unavailable):
                await self._tell(process)
