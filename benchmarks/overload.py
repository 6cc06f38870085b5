"""Ten times what a server can do, asked in open loop: what is still answered, how late, and what an operator sees meanwhile.

    python -m benchmarks.overload --write

One worker pinned to core 0; the load generator, in a process of its own, and the probe of health on core 1. The capacity is
what wrk gets in closed loop, right before and right after, for a machine's own pace sways, and with core 1 as busy. In
between, over the same server: 80 % of it, ten times it, 80 % again. A request is heavy (many rows for a forest), so that the
generator can send ten times the capacity. A table shows the medians of several rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

from benchmarks import tables
from benchmarks.load import load
from benchmarks.openloop import Run, arrivals, offered, percentile, question
from benchmarks.process import Running, first_answer, free_port, resident_mb, running

SALVER = Path(sys.executable).parent / "salver"
CONNECTIONS = 512
PROBE_EVERY_S = 0.02
ROWS = 200
USUAL = 0.8
"""Of the capacity: the load beside which latency is judged."""


@dataclass
class Result:
    """What was seen. Times in ms, memory in MB, rates a second."""

    times: float
    capacity_per_s: float
    offered: int
    goodput_per_s: float
    refused: int
    other: dict[str, int]  # statuses that are neither 200 nor 429 nor 503, and broken connections
    usual_p99_ms: float
    accepted_p99_ms: float
    refused_p99_ms: float
    late_p99_ms: float  # the generator's own
    health_worst_ms: float
    health_failed: int
    memory_before_mb: float
    memory_worst_mb: float
    back_s: float  # from the end of the overload until it was as at the usual load before
    after_p99_ms: float

    @property
    def goodput(self) -> float:
        """As a share of the capacity."""
        return self.goodput_per_s / self.capacity_per_s


class Watch:
    """Asks a server for its health, and looks at its memory, until told to stop."""

    def __init__(self, server: Running) -> None:
        self._url = server.url.removesuffix("/predict") + "/health/live"
        self._pid = server.process.pid
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.took_s: list[float] = []
        self.failed = 0
        self.memory_mb: list[float] = []

    def _watch(self) -> None:
        while not self._stopped.wait(PROBE_EVERY_S):
            began = time.perf_counter()
            try:
                with urlopen(self._url, timeout=5) as answer:
                    answer.read()
            except OSError:
                self.failed += 1
            self.took_s.append(time.perf_counter() - began)
            self.memory_mb.append(resident_mb(self._pid))

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopped.set()
        self._thread.join()


def overload(store: Path, model: Path, body: str, times: float, seconds: float, cores: bool = True) -> Result:
    """One server, at its usual load, then at `times` its capacity, then at the usual load again."""
    with _served(store, model, cores) as server:
        first_answer(server, body.encode())
        usual = _offer(server, body, USUAL * _capacity_per_s(server, body, seconds, cores), seconds, cores)
        before_mb, before_per_s = resident_mb(server.process.pid), _capacity_per_s(server, body, seconds, cores)
        with Watch(server) as watch:
            over = _offer(server, body, times * before_per_s, seconds, cores)
            after = _offer(server, body, USUAL * before_per_s, seconds / 2, cores)
        after_per_s = _capacity_per_s(server, body, seconds, cores)
    statuses = over.statuses
    return Result(
        times=times,
        capacity_per_s=(before_per_s + after_per_s) / 2,
        offered=len(over.answers),
        goodput_per_s=over.goodput_per_s,
        refused=statuses[503] + statuses[429],
        other={str(status): count for status, count in statuses.items() if status not in (200, 429, 503)},
        usual_p99_ms=usual.percentile_us(99) / 1e3,
        accepted_p99_ms=over.percentile_us(99) / 1e3,
        refused_p99_ms=over.percentile_us(99, 429) / 1e3,
        late_p99_ms=percentile(over.late_us, 99) / 1e3,
        health_worst_ms=max(watch.took_s) * 1e3,
        health_failed=watch.failed,
        memory_before_mb=before_mb,
        memory_worst_mb=max(watch.memory_mb),
        back_s=_back_s(after, usual),
        after_p99_ms=after.percentile_us(99) / 1e3,
    )


def _capacity_per_s(server: Running, body: str, seconds: float, cores: bool) -> float:
    """What wrk gets in closed loop. Its core is kept as busy as the generator keeps it later: cores share more than memory."""
    with ExitStack() as stack:
        if cores:
            spin = [sys.executable, "-c", "import os\nos.nice(19)\nwhile True: pass"]
            busy = stack.enter_context(subprocess.Popen(["taskset", "-c", "1", *spin]))
            stack.callback(busy.kill)
        return load(server.url, body, 8, max(2, int(seconds / 2))).per_s


def _back_s(after: Run, usual: Run) -> float:
    """Seconds from the end of the overload until the rest is as the usual load was: refused or slow at most twice as often."""
    bound_us = 3 * usual.percentile_us(99)
    allowed = max(2 * _bad(usual, 0.0, bound_us), 0.01)
    tenths = range(int(after.seconds * 10) + 1)
    return next((tenth / 10 for tenth in tenths if _bad(after, tenth / 10, bound_us) <= allowed), after.seconds)


def _bad(run: Run, since_s: float, bound_us: float) -> float:
    """The share of those due since then that were refused, or slow."""
    due = [answer for answer in run.answers if answer.due_s >= since_s]
    return sum(answer.status != 200 or answer.latency_s * 1e6 > bound_us for answer in due) / max(len(due), 1)


@contextmanager
def _served(store: Path, model: Path, cores: bool) -> Iterator[Running]:
    port = free_port()
    command = [SALVER, "serve", model, "--store", store, "--port", str(port)]
    with running(command, port, store / "serve.txt", core=0 if cores else None) as server:
        yield server


def _offer(server: Running, body: str, rate_per_s: float, seconds: float, cores: bool) -> Run:
    due = arrivals(rate_per_s, seconds, seed=1)
    core = 1 if cores else None
    with offered(server.url, [question(server.url, body)], due, connections=CONNECTIONS, core=core) as begun:
        return begun.result()


def forest(folder: Path, rows: int = ROWS) -> tuple[Path, str]:
    """A forest of 300 trees, and a body of so many rows for it."""
    import joblib
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier

    X, y = make_classification(20_000, 10, n_informative=8, random_state=0)
    path = folder / "forest.pkl"
    joblib.dump(RandomForestClassifier(300, random_state=0, n_jobs=-1).fit(X, y), path)
    return path, json.dumps({"instances": X[:rows].round(3).tolist()})


COLUMNS: dict[str, Callable[[list[Result]], str]] = {
    "times the capacity": lambda r: f"{r[0].times:g}",
    "capacity/s": lambda r: f"{_median(r, lambda one: one.capacity_per_s):,.0f}",
    "answered, of it": lambda r: _swaying(r, lambda one: one.goodput, "{:.2f}"),
    "p99 at 80 %": lambda r: f"{_median(r, lambda one: one.usual_p99_ms):.0f} ms",
    "p99 of what was answered, ÷ that": lambda r: _swaying(r, lambda one: one.accepted_p99_ms / one.usual_p99_ms, "{:.1f}"),
    "p99 of refusals": lambda r: f"{_median(r, lambda one: one.refused_p99_ms):.0f} ms",
    "health, slowest of all": lambda r: f"{max(one.health_worst_ms for one in r):.0f} ms",
    "memory, most that came": lambda r: f"{max(one.memory_worst_mb - one.memory_before_mb for one in r):.1f} MB",
    "normal after, longest": lambda r: f"{max(one.back_s for one in r):.1f} s",
}


def _median(results: list[Result], of: Callable[[Result], float]) -> float:
    return median(of(result) for result in results)


def _swaying(results: list[Result], of: Callable[[Result], float], form: str) -> str:
    """The median, and between what it swayed."""
    low, middle, high = (form.format(take(of(one) for one in results)) for take in (min, median, max))
    return f"{middle} ({low} to {high})"


def table(results: list[Result]) -> str:
    """For docs/measured.md: medians of the rounds."""
    rounds = [[one for one in results if one.times == times] for times in dict.fromkeys(one.times for one in results)]
    cells = [list(COLUMNS), ["--:"] * len(COLUMNS), *([say(of) for say in COLUMNS.values()] for of in rounds)]
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=float, nargs="+", default=[2.0, 10.0])
    parser.add_argument("--rows", type=int, default=ROWS, help="of a request")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of a phase")
    parser.add_argument("--write", action="store_true", help="fill the table in docs/measured.md")
    given = parser.parse_args()
    os.sched_setaffinity(0, {1})
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="salver-overload-") as folder:
        model, body = forest(Path(folder), given.rows)
        for times in given.times * given.rounds:
            results.append(overload(Path(folder), model, body, times, given.seconds))
            print(json.dumps(_shown(results[-1]), indent=1), flush=True)
    if given.write:
        tables.fill(Path("docs/measured.md"), "overload", table(results))
    return 0


def _shown(result: Result) -> dict[str, Any]:
    return {"goodput": round(result.goodput, 3)} | asdict(result)


if __name__ == "__main__":
    sys.exit(main())
