"""A model in its own framework, in a process of its own: the server imports no training library and survives its crashes.

A thread looks after the process: when it ends, the thread starts another, at once or after a wait (`runtimes/restarts.py`),
whether or not anybody asks. A call that a fresh process can soon answer waits for it; any other is refused at once.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from pathlib import Path

from salver.artifact.manifest import RuntimeSpec
from salver.errors import SalverError, Unavailable
from salver.runtimes.environment import host_command
from salver.runtimes.limits import HostLimits, host_limits
from salver.runtimes.process import BROKEN, Process
from salver.runtimes.restarts import Restarts, Wear
from salver.types.signature import Columns, Signature

logger = logging.getLogger("salver")

PATIENCE_S = 10.0
"""A call waits so long for a process that is being started; one that would wait longer is refused at once."""

_RECYCLE, _CLOSE = "recycle", "close"


class NativeRuntime:
    """One model, one process at a time, looked after."""

    def __init__(self, command: list[str], arguments: list[str], limits: HostLimits | None = None) -> None:
        """Start the process and wait for it. Raises Unavailable when it does not come up."""
        self._command, self._arguments = command, arguments
        self._limits = limits or host_limits()
        self._restarts = Restarts()
        self._wear = Wear(self._limits.memory_bytes, self._limits.calls)
        self._start_s = 0.0  # what starting took last time
        self._asking = threading.Lock()  # held by a call for as long as it takes
        self._closing = threading.Event()
        self._changed = threading.Condition()  # guards the next two and `_restarts`
        self._process: Process | None = None
        self._starting: Process | None = None
        self._events: queue.SimpleQueue[Process | str] = queue.SimpleQueue()
        self._install(self._start())
        self._keeper = threading.Thread(target=self._keep, name="salver-model-keeper", daemon=True)
        self._keeper.start()

    def predict(self, inputs: Columns) -> Columns:
        with self._asking:
            process = self._alive()
            try:
                outputs = process.ask(inputs, self._limits.call_s or None)
            except BROKEN as error:
                self._lost(process)
                raise self._crashed(_ended(error, self._limits.call_s)) from error
            if self._wear.worn(process.size_bytes):
                self._wear.fresh()
                self._events.put(_RECYCLE)
            return outputs

    def close(self) -> None:
        """End the process, even in the middle of a call."""
        self._closing.set()
        self._events.put(_CLOSE)
        with self._changed:
            awake = [process for process in (self._process, self._starting) if process is not None]
            self._changed.notify_all()
        for process in awake:
            process.end()
        self._keeper.join()
        if self._process is not None:  # one that the keeper had just started
            self._process.end()

    def _alive(self) -> Process:
        """The process. Raises Unavailable when there is none and none is to be expected soon."""
        if self._process is not None and self._process.ended:  # since the last call, and the keeper has not heard of it yet
            self._lost(self._process)
        with self._changed:
            soon = self._back_s() <= PATIENCE_S
            if self._process is None and soon:
                self._changed.wait_for(lambda: self._process is not None or self._closing.is_set(), PATIENCE_S)
            if self._process is None:
                raise self._crashed("the model's process ended and is being started again")
            return self._process

    def _back_s(self) -> float:
        return self._restarts.wait_s(time.monotonic()) + self._start_s

    def _crashed(self, what: str) -> Unavailable:
        return Unavailable(what, code="model_crashed", retry_after_s=max(1.0, self._back_s()))

    def _lost(self, process: Process) -> None:
        """A process is of no more use: it is ended, and nobody asks it any more."""
        with self._changed:
            if self._process is process:
                self._process = None
                self._restarts.ended(time.monotonic())
        process.end()

    def _start(self) -> Process:
        """A process that is ready. Raises Unavailable when it does not come up."""
        began_s = time.monotonic()
        with self._changed:
            if self._closing.is_set():
                raise Unavailable("the model is being closed")
            try:
                process = self._starting = Process(self._command, self._arguments)
            except OSError as error:
                raise Unavailable(f"the model's process can't be started: {error}") from error
        try:
            process.require_ready()
        finally:
            with self._changed:
                self._starting = None
        self._start_s = time.monotonic() - began_s
        return process

    def _install(self, process: Process) -> Process | None:
        """From now on this one is asked; whatever was asked before is returned."""
        with self._changed:
            before, self._process = self._process, process
            self._wear.fresh()
            self._restarts.started(time.monotonic())
            self._changed.notify_all()

        def watch() -> None:
            process.wait()
            self._events.put(process)

        threading.Thread(target=watch, name="salver-model-watcher", daemon=True).start()
        return before

    def _keep(self) -> None:
        """The keeper: another process for one that ended or is worn, until the model is closed."""
        while (event := self._events.get()) != _CLOSE:
            if isinstance(event, Process):
                self._lost(event)
            if not self._closing.is_set():
                self._replace() if self._process is None else self._recycle(event)

    def _replace(self) -> None:
        """Start another process, again and again with longer waits, until one is ready."""
        while not self._closing.wait(wait_s := self._restarts.wait_s(time.monotonic())):
            logger.warning("a model's process ended; another is started after %.1f s", wait_s)
            try:
                self._install(self._start())
                return
            except SalverError as error:
                logger.warning("%s", error.message)
                with self._changed:
                    self._restarts.ended(time.monotonic())

    def _recycle(self, event: Process | str) -> None:
        """The worn process answers until a fresh one can."""
        if event != _RECYCLE:
            return  # the end of one that was replaced
        try:
            fresh = self._start()
        except SalverError as error:
            logger.warning("a model's process has worn, and another does not start: %s", error.message)
            return
        with self._asking:
            worn = self._install(fresh)
        if worn is not None:
            worn.end()


def _ended(error: BaseException, call_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"the model did not answer within {call_s:g} s; its process was ended and is started again"
    return "the model's process ended during this prediction; it is started again"


def load(spec: RuntimeSpec, signature: Signature, folder: Path) -> NativeRuntime:
    return NativeRuntime(host_command(folder), [str(folder / spec.file), *spec.trusts])
