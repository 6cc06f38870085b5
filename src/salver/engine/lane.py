"""The queue in front of one model and the loop that empties it: batch = next(); outputs = predict(batch); log; answer.

Natural batching: the first request of an event-loop turn schedules one flush; all that arrive in that turn share one call of
the model, one write to the log, and then get their answers. While a slow model works in its thread, the next batch gathers.
There is no timer and nobody waits for company.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

from salver.engine.background import in_background
from salver.engine.batch import Batch, values_of
from salver.engine.batcher import Batcher, Limits
from salver.engine.ids import IdSource
from salver.engine.model import Model
from salver.engine.recorder import Recorder
from salver.engine.request import Request
from salver.engine.stats import LaneStats
from salver.errors import DeadlineExceeded, LogUnavailable, PredictionFailed, SalverError
from salver.log.policy import Policy

logger = logging.getLogger("salver")
_arrived_ns = attrgetter("arrived_ns")
_count = attrgetter("count")

Append = Callable[[bytes], None]


class Failure:
    """Requests that get an error instead."""

    __slots__ = ("error", "requests")

    def __init__(self, requests: list[Request], error: SalverError) -> None:
        self.requests = requests
        self.error = error


class ModelThread:
    """The thread in which a model's long calls run, whichever lane they come from. It is started when there is one."""

    def __init__(self, name: str) -> None:
        self.executor = ThreadPoolExecutor(1, thread_name_prefix=f"salver-{name}")
        self.calls = 0  # that are in it


class Lane:
    """One model version taking requests that come by one route. All methods are called on the event loop."""

    def __init__(
        self,
        model: Model,
        append: Append | None,
        limits: Limits | None = None,
        route: str = "live",
        policy: Policy | None = None,
        thread: ModelThread | None = None,
    ) -> None:
        self.model = model
        self.route = route
        self.mirror: Callable[[Batch, int], None] | None = None  # told of each batch once it is answered; for shadows
        self.others: dict[str, Lane] = {}  # of the same model, for what comes by other routes
        self.stats = LaneStats()
        self.batcher = Batcher(limits or Limits())
        self._append = append
        self._policy = policy
        self._recorder = Recorder(model.name, model.version, model.signature, route, policy)
        self._ids = IdSource()
        self._busy = False  # a turn is scheduled or a batch is in the thread
        self._held = 0  # requests that were promised to it and are still being read
        self._thread = thread or ModelThread(model.name)

    def __repr__(self) -> str:
        return f"<Lane {self.model!r} {self.batcher!r}>"

    def submit(self, request: Request) -> None:
        """Queue a checked request; it is answered or failed later, on the event loop. Raises Overloaded or TooLarge at once."""
        try:
            self.batcher.put(request)
        except SalverError as error:
            self.stats.errors[error.code] += 1
            raise
        if not self._busy:
            self._busy = True
            asyncio.get_running_loop().call_soon(self._turn)

    def require_room(self, size_bytes: int) -> None:
        """Raises Overloaded, as `submit` would, for a request that need not be read then: reading costs most."""
        try:
            self.batcher.require_room(size_bytes)
        except SalverError as error:
            self.stats.errors[error.code] += 1
            raise

    def by(self, route: str) -> Lane:
        """The lane of the same model for what comes by that route, made once; it logs and counts on its own."""
        if route not in self.others:
            self.others[route] = Lane(self.model, self._append, self.batcher.limits, route, self._policy, self._thread)
        return self.others[route]

    @contextmanager
    def held(self) -> Generator[Lane]:
        """It stays open until this ends: for who reads a request bit by bit before it is submitted."""
        self._held += 1
        try:
            yield self
        finally:
            self._held -= 1

    async def close(self, grace_s: float = 30.0) -> None:
        """Answer what waits, then give the model back. A model that does not answer within `grace_s` is not waited for."""
        deadline_s = time.monotonic() + grace_s
        while self._in_use and time.monotonic() < deadline_s:
            await asyncio.sleep(0.005)
        self._thread.executor.shutdown(wait=not self._in_use)
        await in_background(self.model.close)

    @property
    def _in_use(self) -> bool:
        return any(lane._busy or lane._held for lane in (self, *self.others.values()))

    def _turn(self) -> None:
        """One batch; the next, if any, in the event loop's next turn, so that everybody else has theirs."""
        requests, gone, late = self.batcher.next(time.perf_counter_ns())
        self.stats.gone += gone
        if late:
            self._fail(late, DeadlineExceeded("the time that was given was over before the request's turn came"))
        if not requests:
            self._busy = False
        elif not self._thread.calls and self.model.is_short(sum(map(_count, requests))):
            self._settle(self._run(requests))
        else:
            self._thread.calls += 1
            job = asyncio.get_running_loop().run_in_executor(self._thread.executor, self._run, requests)
            job.add_done_callback(self._ran)

    def _ran(self, job: asyncio.Future[list[Batch | Failure]]) -> None:
        self._thread.calls -= 1
        results = job.result()
        for batch in results:
            if isinstance(batch, Batch):
                self.batcher.served(len(batch.ids), (batch.ended_ns - batch.started_ns) * 1e-9)
        self._settle(results)

    def _run(self, requests: list[Request]) -> list[Batch | Failure]:
        """Everything about a batch that takes time. On the event loop or in the lane's thread, one batch at a time.

        What fails together is run again in halves, until the guilty requests stand alone and only they fail.
        """
        try:
            return [self._batch(requests)]
        except Exception as error:
            if len(requests) == 1:
                return [Failure(requests, self._blamed(error))]
        middle = len(requests) // 2
        return self._run(requests[:middle]) + self._run(requests[middle:])

    def _batch(self, requests: list[Request]) -> Batch:
        started_ns = time.perf_counter_ns()
        rows = sum(map(_count, requests))
        arrays = self.model.predict(requests)
        values: dict[str, list[Any]] = {}
        for output in self.model.signature.outputs:
            made = values[output.name] = values_of(output, arrays[output.name])
            if len(made) != rows:
                raise PredictionFailed(f"the model answered {rows} rows with {len(made)}")
        batch = Batch(requests, arrays, values, self._ids.batch(rows), started_ns)
        if self._append is not None:
            batch.lines = self._recorder.lines(batch)
        return batch

    def _blamed(self, error: Exception) -> SalverError:
        if isinstance(error, SalverError):
            return error
        logger.error("%s@%s raised on a request", self.model.name, self.model.version, exc_info=error)
        return PredictionFailed(f"the model raised {type(error).__name__} on these rows")

    def _settle(self, results: list[Batch | Failure]) -> None:
        """Log, then answer."""
        try:
            for result in results:
                if isinstance(result, Failure):
                    self._fail(result.requests, result.error)
                else:
                    self._answer(result)
        finally:
            # An answer may have brought new requests; either way there is exactly one next turn.
            if len(self.batcher):
                asyncio.get_running_loop().call_soon(self._turn)
            else:
                self._busy = False

    def _answer(self, batch: Batch) -> None:
        if self._append is not None:
            try:
                self._append(batch.lines)
            except LogUnavailable as error:
                self._fail(batch.requests, error)
                return
        start = 0
        for request in batch.requests:
            request.answered(batch, start)
            start += request.count
        stats, now = self.stats, time.perf_counter_ns()
        stats.rows += start
        stats.batch_rows.observe(start)
        stats.predict_s.observe((batch.ended_ns - batch.started_ns) * 1e-9)
        stats.queue_s.observe((batch.started_ns - batch.requests[0].arrived_ns) * 1e-9)
        stats.latency_s.observe_since(sorted(map(_arrived_ns, batch.requests)), now)
        if self.mirror is not None:
            self.mirror(batch, self.batcher.rows)

    def _fail(self, requests: list[Request], error: SalverError) -> None:
        self.stats.errors[error.code] += len(requests)
        for request in requests:
            request.failed(error)
