"""Several processes that serve the same models on the same socket, and the one that looks after them.

The supervisor wakes the models and then forks the workers, so that the memory of a model is there once. Until then a herald
answers health. The supervisor itself answers nothing: it starts a worker for each that ended or hangs, and hands on the signal
to stop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING

import msgspec

from salver.engine.engine import Asked
from salver.errors import SalverError
from salver.server.accepting import Tally
from salver.server.board import Board
from salver.server.crew import Crew
from salver.server.notify import notify
from salver.server.samples import Sample

if TYPE_CHECKING:
    from salver.engine.engine import Engine
    from salver.server.run import Server

logger = logging.getLogger("salver")

BEAT_S = 0.2
STOP_S = 75.0
"""A worker that was told to stop and is still there after so long is ended: it had its own limits on the way."""

STOP = (signal.SIGTERM, signal.SIGINT)
_HEARD = (*STOP, signal.SIGCHLD)


class Report(msgspec.Struct, array_like=True):
    """What a worker says of itself."""

    pid: int
    at_s: float  # time.monotonic
    ready: bool
    counts: list[Sample]
    asked: dict[str, Asked]


Tell = Callable[[bytes], None]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Report).decode


class Worker:
    """One of the workers, in its own process: its place, and what the others say."""

    def __init__(self, place: int, board: Board, tally: Tally) -> None:
        self.place = place
        self.tally = tally
        self._board = board
        said = self._said(place)
        self.is_another = said is not None  # one was here before, and ended
        self.replaces = said is not None and said.ready
        self.before = [] if said is None else said.counts
        self.count: Callable[[], list[Sample]] = list
        self._following: asyncio.Future[None] | None = None

    async def beat(self, engine: Engine) -> None:
        """Say a few times a second how it is."""
        while True:
            # Until one that replaces another is ready, it takes no requests: nothing is less ready than before.
            # One that leaves says nothing of its own: the one in its place would count as the first there.
            ready = engine.ready or engine.leaving or self.replaces
            report = Report(os.getpid(), time.monotonic(), ready, self.count(), engine.asked)
            self._board.write(self.place, _encode(report))
            if not self._following or self._following.done():
                self._following = asyncio.ensure_future(self._follow(engine))
            await asyncio.sleep(BEAT_S)

    async def _follow(self, engine: Engine) -> None:
        """Let models go, or wake them, as another worker was asked to."""
        if engine.loader is None or "loading" in engine.states.values():
            return
        for name, asked in self._asked().items():
            known = engine.asked.get(name)
            if known is not None and known.at_s >= asked.at_s:
                continue
            engine.asked[name] = asked
            try:
                if asked.awake and name in engine.unloaded:
                    await engine.loader(name)
                elif not asked.awake and name in engine.lanes:
                    await engine.unload(name)
            except SalverError as error:
                logger.error("worker %d could not do with %s as another was asked: %s", self.place, name, error.message)

    def _asked(self) -> dict[str, Asked]:
        """What was last asked of each model, in any place."""
        latest: dict[str, Asked] = {}
        for said in filter(None, map(self._said, range(self._board.workers))):
            for name, asked in said.asked.items():
                if name not in latest or latest[name].at_s < asked.at_s:
                    latest[name] = asked
        return latest

    def others(self) -> list[list[Sample]]:
        """What all other workers have counted, as they last said."""
        said = [self._said(place) for place in range(self._board.workers) if place != self.place]
        return [report.counts for report in said if report is not None]

    def _said(self, place: int) -> Report | None:
        said = self._board.read(place)
        return _decode(said) if said else None

    def all_ready(self) -> bool:
        """Whether the models of every worker are ready."""
        return all_ready(self._board)


def all_ready(board: Board) -> bool:
    """Whether the models of every worker are ready. One that has ended takes no requests, and counts as it last was."""
    return all(said and _decode(said).ready for said in map(board.read, range(board.workers)))


class Herald:
    """A process that answers health and finds what is to be served, until the workers serve it.

    It is one of its own, because what reaches a store has threads, and what has threads can't be forked from.
    """

    def __init__(self, work: Callable[[Tell], int]) -> None:
        """`work` returns the exit code when it is told to stop; what it tells meanwhile is what `wait` returns."""
        self.code = 0
        self._told = False
        self._hears, says = os.pipe()

        def tell(what: bytes) -> None:
            with os.fdopen(says, "wb") as told:
                told.write(what)

        self._pid = _fork(lambda: work(tell))
        os.close(says)
        for sig in STOP:
            signal.signal(sig, self._stop)

    def wait(self) -> bytes:
        """What it tells; nothing when it ended without a word or the whole server is to stop, and then there is a `code`."""
        with os.fdopen(self._hears, "rb") as told:
            said = told.read()
        if said and not self._told:
            return said
        self.code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return b""

    def dismiss(self) -> bool:
        """It is not needed any more. False when the whole server is to stop."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGTERM)
        return not self._told

    def _stop(self, sig: int, frame: FrameType | None) -> None:
        self._told = True
        self.dismiss()


async def leave_with_parent(server: Server) -> None:
    """Stop a server when the process that started it is gone."""
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(BEAT_S)
    logger.error("the supervisor is gone; this process stops")
    server.should_exit = True


def _fork(work: Callable[[], int]) -> int:
    """A process that does this and ends with the code that it returns. Only its id returns here.

    What tells it to stop waits, where it was blocked here, until the process has said what it does then, and lets it come.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if pid := os.fork():
        return pid
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the supervisor too, which says what is to be done
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        code = work()
    except SalverError as error:
        print(f"salver: {error.message}", file=sys.stderr)
    except BaseException:
        logger.exception("process %d ended", os.getpid())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Supervisor:
    """Keeps `count` workers running until it is told to stop."""

    def __init__(
        self, count: int, work: Callable[[Worker], int], on_ready: Callable[[], None], on_stop: Callable[[], None]
    ) -> None:
        """`work` is what a worker does, and returns its exit code. `on_stop` is called before the workers are told to stop."""
        self._board = Board(count)
        self._tally = Tally(count)
        self._crew = Crew(count)
        self._work = work
        self._on_ready = on_ready
        self._on_stop = on_stop
        self._ready = False
        self._stopping_s: float | None = None
        self._failed = False

    def run(self) -> int:
        """Returns the exit code: 0 when it was told to stop and every worker has stopped as it should."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        try:
            while self._stopping_s is None or self._crew.pids:
                if self._stopping_s is None:
                    self._start_due()
                heard = signal.sigtimedwait(_HEARD, self._wait_s())
                if heard is not None and heard.si_signo in STOP:
                    self._stop()
                self._reap()
                self._look()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return int(self._failed)

    def _wait_s(self) -> float:
        due_s = self._crew.wait_s(time.monotonic()) if self._stopping_s is None else None
        return BEAT_S if not self._ready else min(1.0, due_s if due_s is not None else 1.0)

    def _start_due(self) -> None:
        for place in self._crew.due(time.monotonic()):
            try:
                self._start(place)
            except OSError as error:
                wait_s = self._crew.failed(place, time.monotonic())
                logger.error("worker %d can't be started: %s; again in %.1f s", place, error.strerror, wait_s)

    def _start(self, place: int) -> None:
        pid = _fork(lambda: self._work(Worker(place, self._board, self._tally)))
        self._crew.started(place, pid, time.monotonic())

    def _stop(self) -> None:
        """The first time: let the workers finish what they have. The second time: at once."""
        if self._stopping_s is not None:
            self._send(signal.SIGKILL)
            self._failed = True
            return
        self._stopping_s = time.monotonic()
        notify("STOPPING=1")
        self._on_stop()
        self._send(signal.SIGTERM)

    def _send(self, what: signal.Signals) -> None:
        for pid in self._crew.pids.values():
            os.kill(pid, what)

    def _reap(self) -> None:
        """Every process that ended. As process 1 of a container there may be others than workers."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            self._ended(pid, os.waitstatus_to_exitcode(status))

    def _ended(self, pid: int, code: int) -> None:
        found = self._crew.ended(pid, time.monotonic())
        if found is None:
            return
        place, wait_s = found
        how = f"with exit code {code}" if code >= 0 else f"of {signal.Signals(-code).name}"
        if self._stopping_s is not None:
            self._failed |= code != 0
        elif code > 0 and not self._ready:
            logger.error("worker %d can't serve", place)
            self._failed = True
            self._stop()
        else:
            fields = {"event": "worker_ended", "worker": place, "pid": pid}
            said = "worker %d (process %d) ended %s; another is started in %.1f s"
            logger.error(said, place, pid, how, wait_s, extra={"fields": fields})

    def _look(self) -> None:
        now_s = time.monotonic()
        if self._stopping_s is not None:
            if now_s - self._stopping_s > STOP_S:
                self._send(signal.SIGKILL)
            return
        for place, pid in self._crew.pids.items():
            said = self._board.read(place)
            if said and (report := _decode(said)).pid == pid:
                self._crew.seen(place, report.at_s)
        for place in self._crew.hung(now_s):
            logger.error("worker %d (process %d) hangs; it is ended", place, self._crew.pids[place])
            os.kill(self._crew.pids[place], signal.SIGKILL)
        if not self._ready and all_ready(self._board):
            self._ready = True
            self._on_ready()
            notify("READY=1")
