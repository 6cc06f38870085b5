"""Open-loop load: requests leave when they are due, however slowly the answers come.

A closed loop (wrk) waits for an answer before it asks again, so a server that stalls is asked less and its stall is hardly
seen. Here every request has its time, fixed beforehand, and its latency counts from that time: what waited for a free
connection, or for this generator itself, waited. `Run.late_us` says how much of it was the generator's, which is to be
small beside the rest.

    python -m benchmarks.openloop http://127.0.0.1:8080/predict --body '{"features": [1]}' --rate 1000 --seconds 10

In a program: `offered(...)` starts it in a process of its own, `offer(...)` runs it on an event loop, best uvloop's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import pickle
import random
import subprocess
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from benchmarks.alarm import Alarm

_STOP = "stop"
BROKEN = 0
"""The status of a request whose connection broke, or that got no answer in time."""


class Answer(NamedTuple):
    """What became of one request."""

    question: int  # which of the questions it was
    due_s: float  # when it was to leave, from the start of the run
    latency_s: float  # from then to its answer
    status: int  # BROKEN when there was none
    body: bytes


@dataclass
class Run:
    """What a load met with."""

    seconds: float
    started: float  # time.perf_counter, which counts alike in all processes of a machine
    answers: list[Answer] = field(default_factory=list[Answer])
    late_us: list[float] = field(default_factory=list[float])  # of each request, by this generator's own doing

    def percentile_us(self, percent: float, status: int | None = 200, since_s: float = 0.0, until_s: float = 1e9) -> float:
        """The latency that `percent` of the answers with this status (None: all) stay below; nan when there are none."""
        kept = (a for a in self.answers if since_s <= a.due_s < until_s and (status is None or a.status == status))
        return percentile([answer.latency_s * 1e6 for answer in kept], percent)

    @property
    def statuses(self) -> Counter[int]:
        return Counter(answer.status for answer in self.answers)

    @property
    def goodput_per_s(self) -> float:
        return self.statuses[200] / self.seconds

    def summary(self) -> dict[str, Any]:
        """The figures, for people and for programs."""
        return {
            "offered": len(self.answers),
            "goodput_per_s": round(self.goodput_per_s, 1),
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "p50_us": round(self.percentile_us(50)),
            "p99_us": round(self.percentile_us(99)),
            "p99.9_us": round(self.percentile_us(99.9)),
            "generator_late_p99_us": round(percentile(self.late_us, 99)),
        }


def percentile(values: Sequence[float], percent: float) -> float:
    """By nearest rank; nan of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else float("nan")


def arrivals(rate_per_s: float, seconds: float, seed: int | None = None) -> list[float]:
    """When requests are due: evenly spaced, or with a seed as of a Poisson process."""
    if seed is None:
        return [i / rate_per_s for i in range(int(rate_per_s * seconds))]
    gaps, at, due = random.Random(seed), 0.0, list[float]()
    while (at := at + gaps.expovariate(rate_per_s)) < seconds:
        due.append(at)
    return due


def question(url: str, body: bytes | str, headers: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a POST."""
    at, body = urlsplit(url), body.encode() if isinstance(body, str) else body
    lines = {"host": at.netloc, "content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {at.path or '/'} HTTP/1.1\r\n{head}\r\n".encode() + body


async def offer(
    url: str,
    questions: Sequence[bytes],
    due_s: Sequence[float],
    *,
    connections: int = 64,
    timeout_s: float = 10.0,
    stop: Path | None = None,
) -> Run:
    """Send the questions in turn, each when it is due, on up to that many kept-alive connections; none once `stop` is there."""
    load = _Load(url, questions, due_s, connections, timeout_s)
    watching = asyncio.ensure_future(load.end_with(stop)) if stop else None
    run = await load.run()
    if watching:
        watching.cancel()
    return run


class _Load:
    """One run. All connections are opened before it starts; one that breaks is opened anew."""

    def __init__(
        self, url: str, questions: Sequence[bytes], due_s: Sequence[float], connections: int, timeout_s: float
    ) -> None:
        at = urlsplit(url)
        self._address = (at.hostname, at.port)
        self._questions, self._due_s = questions, due_s
        self._connections, self._timeout_s = connections, timeout_s
        self._loop = asyncio.get_running_loop()
        self._next = 0
        self._waiting: deque[int] = deque()  # due, and no connection was free
        self.free: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._alarm = Alarm()
        self._done = asyncio.Event()
        self._opening: set[asyncio.Task[None]] = set()
        self.result = Run(max(due_s, default=0.0), 0.0)

    async def run(self) -> Run:
        await asyncio.gather(*(self._connect() for _ in range(self._connections)))
        self._loop.add_reader(self._alarm.descriptor, self._tick)
        self.result.started = perf_counter()
        self._tick()
        left_s = self.result.seconds + self._timeout_s
        with suppress(TimeoutError):
            await asyncio.wait_for(self._done.wait(), left_s + 1)
        self._loop.remove_reader(self._alarm.descriptor)
        self._alarm.close()
        self._done.set()
        while self._waiting:
            self.record(self._waiting.popleft(), BROKEN, b"")
        for opening in self._opening:
            opening.cancel()
        for connection in list(self._open):  # what is still asked is lost
            connection.lose()
        while self._open:
            await asyncio.sleep(0)
        return self.result

    async def end_with(self, stop: Path) -> None:
        """Send nothing more once that file is there."""
        while not stop.exists():
            await asyncio.sleep(0.1)
        self._due_s = self._due_s[: self._next]
        self.result.seconds = max(self._due_s, default=0.0)
        if len(self.result.answers) == len(self._due_s):
            self._done.set()

    def record(self, number: int, status: int, body: bytes) -> None:
        due_s = self._due_s[number]
        latency_s = perf_counter() - self.result.started - due_s
        self.result.answers.append(Answer(number % len(self._questions), due_s, latency_s, status, body))
        if len(self.result.answers) == len(self._due_s):
            self._done.set()

    def freed(self, connection: _Connection) -> None:
        """A connection can take another request: the one that waits longest, if any."""
        if self._waiting:
            number = self._waiting.popleft()
            connection.ask(number, self._questions[number % len(self._questions)])
        else:
            self.free.append(connection)

    def lost(self, connection: _Connection) -> None:
        self._open.discard(connection)
        with suppress(ValueError):
            self.free.remove(connection)
        if not self._done.is_set():
            opening = self._loop.create_task(self._connect())
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)

    async def _connect(self) -> None:
        while True:
            try:
                _, connection = await self._loop.create_connection(lambda: _Connection(self), *self._address)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            self._open.add(connection)
            self.freed(connection)
            return

    def _tick(self) -> None:
        """Send all that is due, and set the alarm for the next."""
        self._alarm.clear()
        self._give_up()
        now_s = perf_counter() - self.result.started
        while self._next < len(self._due_s) and self._due_s[self._next] <= now_s:
            number = self._next
            self._next += 1
            self.result.late_us.append((now_s - self._due_s[number]) * 1e6)
            if self.free:
                self.free.pop().ask(number, self._questions[number % len(self._questions)])
            else:
                self._waiting.append(number)
            now_s = perf_counter() - self.result.started
        if not self._due_s:
            self._done.set()
        elif self._next < len(self._due_s):
            self._alarm.set(self._due_s[self._next] - now_s)
        else:
            self._alarm.set(0.1)

    def _give_up(self) -> None:
        late_s = perf_counter() - self.result.started - self._timeout_s
        while self._waiting and self._due_s[self._waiting[0]] < late_s:
            self.record(self._waiting.popleft(), BROKEN, b"")
        if late_s > 0:
            for connection in [c for c in self._open if c.number is not None and self._due_s[c.number] < late_s]:
                connection.lose()


class _Connection(asyncio.Protocol):
    """One connection, with one request in flight at most."""

    transport: asyncio.Transport

    def __init__(self, load: _Load) -> None:
        self.number: int | None = None
        self._load = load
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it

    def ask(self, number: int, message: bytes) -> None:
        self.number = number
        self.transport.write(message)

    def data_received(self, data: bytes) -> None:
        got = self._got + data if self._got else data
        end = got.find(b"\r\n\r\n") + 4
        head = got[:end].lower()
        if end < 4 or len(got) < end + _length(head):
            self._got = got
            return
        self._got = b""
        number, self.number = self.number, None
        if number is not None:
            self._load.record(number, int(head[9:12]), got[end:])
        if b"connection: close" in head:
            self.transport.close()
        else:
            self._load.freed(self)

    def connection_lost(self, exc: Exception | None) -> None:
        number, self.number = self.number, None
        if number is not None:
            self._load.record(number, BROKEN, b"")
        self._load.lost(self)

    def lose(self) -> None:
        self.transport.abort()
        number, self.number = self.number, None
        if number is not None:
            self._load.record(number, BROKEN, b"")


def _length(head: bytes) -> int:
    at = head.find(b"\r\ncontent-length:")
    return int(head[at + 17 : head.find(b"\r\n", at + 17)]) if at >= 0 else 0


class Offered:
    """A load that runs in a process of its own. `result` waits for its end."""

    def __init__(self, process: subprocess.Popen[bytes], scratch: Path) -> None:
        self._process = process
        self._scratch = scratch

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        """Let it send no more; what is under way is still answered."""
        (self._scratch / _STOP).touch()

    def result(self) -> Run:
        """Raises RuntimeError when the generator itself failed."""
        if self._process.wait() != 0:
            raise RuntimeError("the load generator failed; its own output says why")
        seconds, started, answers, late_us = pickle.loads((self._scratch / "run.pickle").read_bytes())  # our own, a moment ago
        return Run(seconds, started, [Answer(*answer) for answer in answers], late_us)


@contextmanager
def offered(
    url: str,
    questions: Sequence[bytes],
    due_s: Sequence[float],
    *,
    connections: int = 64,
    timeout_s: float = 10.0,
    core: int | None = None,
) -> Iterator[Offered]:
    """As `offer`, in another process, pinned to `core`; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="salver-load-") as folder:
        scratch = Path(folder)
        (scratch / "asked.pickle").write_bytes(pickle.dumps((url, questions, due_s, connections, timeout_s)))
        pin = [] if core is None else ["taskset", "-c", str(core)]
        process = subprocess.Popen([*pin, sys.executable, "-m", "benchmarks.openloop", "--scratch", folder])
        try:
            yield Offered(process, scratch)
        finally:
            process.kill()
            process.wait()


def _run(coroutine: Any) -> Run:
    import uvloop

    return uvloop.run(coroutine)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?")
    parser.add_argument("--body", action="append", help="a request's body; several take turns")
    parser.add_argument("--header", action="append", default=[], metavar="NAME:VALUE")
    parser.add_argument("--rate", type=float, default=1000.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--poisson", type=int, metavar="SEED", help="random arrivals instead of evenly spaced ones")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--timeout-s", type=float, default=10.0)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.scratch:
        url, questions, due_s, connections, timeout_s = pickle.loads((given.scratch / "asked.pickle").read_bytes())
        stop = given.scratch / _STOP
        run = _run(offer(url, questions, due_s, connections=connections, timeout_s=timeout_s, stop=stop))
        # As plain tuples: the classes of a module that runs as a program are others than those of the same module imported.
        plain = (run.seconds, run.started, [tuple(answer) for answer in run.answers], run.late_us)
        (given.scratch / "run.pickle").write_bytes(pickle.dumps(plain))
        return 0
    if not given.url or not given.body:
        parser.error("give a URL and a --body")
    headers = dict(text.split(":", 1) for text in given.header)
    questions = [question(given.url, body, headers) for body in given.body]
    due_s = arrivals(given.rate, given.seconds, given.poisson)
    run = _run(offer(given.url, questions, due_s, connections=given.connections, timeout_s=given.timeout_s))
    print(json.dumps(run.summary(), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
