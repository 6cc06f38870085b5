"""Ten times what a server can do, asked in open loop: what is still answered, how late, and what an operator sees meanwhile.

    python -m benchmarks.overload --write

One worker pinned to core 0; the load generator, in a process of its own, and the probe of health on core 1. The capacity is
what wrk gets in closed loop, with core 1 as busy. A machine's own pace sways within seconds: what is answered of it is taken by
short turns, each compared with the capacity right before and right after. A round, over one server: these turns; 80 % of the
capacity; ten times it, and without a gap 80 % again, for twice as long, the last half of which says with the time before what
is usual. A request is heavy (many rows for a forest), so that the generator can send ten times the capacity. A table shows the
medians of the rounds.
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
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from urllib.request import urlopen

from benchmarks import tables
from benchmarks.load import load
from benchmarks.openloop import Answer, Run, arrivals, offered, percentile, question
from benchmarks.process import Running, first_answer, free_port, resident_mb, running

SALVER = Path(sys.executable).parent / "salver"
CONNECTIONS = 512
PROBE_EVERY_S = 0.02
LOOK_EVERY = 5  # probes: looking through all processes takes the generator's core
ROWS = 200
TURNS, TURN_S, BEGIN_S = 6, 2.0, 0.3
"""Short turns, how long they are counted, and how long they are not yet: until the queue is as full as it gets."""

USUAL = 0.8
"""Of the capacity: the load beside which latency is judged."""


@dataclass
class Result:
    """What was seen. Times in ms, memory in MB, rates a second."""

    times: float
    capacity_per_s: float
    goodput: float  # as a share of the capacity
    offered: int
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
    back_s: float  # from the end of the overload until it was as usual
    after_p99_ms: float  # from then on


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
            if not len(self.took_s) % LOOK_EVERY:
                self.memory_mb.append(resident_mb(self._pid))
            self.took_s.append(time.perf_counter() - began)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopped.set()
        self._thread.join()


def overload(
    store: Path, model: Path, body: str, times: float, seconds: float, cores: bool = True, turns: int = TURNS
) -> Result:
    """One server, at its usual load, then at `times` its capacity, then at the usual load again."""
    with _served(store, model, cores) as server:
        first_answer(server, body.encode())
        capacity_per_s, goodput = _turns(server, body, times, turns, cores)
        before = _offer(server, body, [(USUAL * capacity_per_s, seconds)], cores)
        before_mb = resident_mb(server.process.pid)
        with Watch(server) as watch:
            phases = [(times * capacity_per_s, seconds), (USUAL * capacity_per_s, 2 * seconds)]
            run = _offer(server, body, phases, cores)
    over, after = _due(run, 0, seconds), _due(run, seconds, 2 * seconds)
    usual = before.answers + _due(run, 2 * seconds, 3 * seconds)
    statuses = Counter(answer.status for answer in over)
    back_s = _back_s(after, usual, seconds)
    return Result(
        times=times,
        capacity_per_s=capacity_per_s,
        goodput=goodput,
        offered=len(over),
        refused=statuses[503] + statuses[429],
        other={str(status): count for status, count in statuses.items() if status not in (200, 429, 503)},
        usual_p99_ms=_p99_ms(usual),
        accepted_p99_ms=_p99_ms(over),
        refused_p99_ms=_p99_ms(over, 429),
        late_p99_ms=percentile(run.late_us, 99) / 1e3,
        health_worst_ms=max(watch.took_s) * 1e3,
        health_failed=watch.failed,
        memory_before_mb=before_mb,
        memory_worst_mb=max(watch.memory_mb),
        back_s=back_s,
        after_p99_ms=_p99_ms([answer for answer in after if answer.due_s >= seconds + back_s]),
    )


def _turns(server: Running, body: str, times: float, turns: int, cores: bool) -> tuple[float, float]:
    """The capacity, and which part of it is answered at `times` as much: medians."""
    _capacity_per_s(server, body, cores)  # the first is not warm
    capacities, parts = [_capacity_per_s(server, body, cores)], list[float]()
    for _ in range(turns):
        run = _offer(server, body, [(times * capacities[-1], BEGIN_S + TURN_S)], cores)
        capacities.append(_capacity_per_s(server, body, cores))
        came_s = (answer.due_s + answer.latency_s for answer in run.answers if answer.status == 200)
        answered = sum(BEGIN_S <= at_s < BEGIN_S + TURN_S for at_s in came_s)
        parts.append(answered / TURN_S / mean(capacities[-2:]))
    return median(capacities), median(parts)


def _capacity_per_s(server: Running, body: str, cores: bool) -> float:
    """What wrk gets in closed loop. Its core is kept as busy as the generator keeps it later: cores share more than memory."""
    with ExitStack() as stack:
        if cores:
            spin = [sys.executable, "-c", "import os\nos.nice(19)\nwhile True: pass"]
            busy = stack.enter_context(subprocess.Popen(["taskset", "-c", "1", *spin]))
            stack.callback(busy.kill)
        return load(server.url, body, 8, int(TURN_S)).per_s


def _due(run: Run, since_s: float, until_s: float) -> list[Answer]:
    """What became of those that were due then."""
    return [answer for answer in run.answers if since_s <= answer.due_s < until_s]


def _p99_ms(answers: list[Answer], status: int = 200) -> float:
    return percentile([answer.latency_s * 1e3 for answer in answers if answer.status == status], 99)


def _back_s(after: list[Answer], usual: list[Answer], over_s: float) -> float:
    """Seconds after `over_s` until the rest is as usual: refused or slow at most twice as often."""
    bound_s = 3 * _p99_ms(usual) / 1e3
    allowed = max(2 * _bad(usual, 0.0, bound_s), 0.01)
    tenths = (tenth / 10 for tenth in range(int(over_s * 10)))
    return next((tenth for tenth in tenths if _bad(after, over_s + tenth, bound_s) <= allowed), over_s)


def _bad(answers: list[Answer], since_s: float, bound_s: float) -> float:
    """The share of those due since then that were refused, or slow."""
    due = [answer for answer in answers if answer.due_s >= since_s]
    return sum(answer.status != 200 or answer.latency_s > bound_s for answer in due) / max(len(due), 1)


@contextmanager
def _served(store: Path, model: Path, cores: bool) -> Iterator[Running]:
    port = free_port()
    command = [SALVER, "serve", model, "--store", store, "--port", str(port)]
    with running(command, port, store / "serve.txt", core=0 if cores else None) as server:
        yield server


def _offer(server: Running, body: str, phases: list[tuple[float, float]], cores: bool) -> Run:
    """Each phase so many a second for so many seconds, all in one run."""
    due, begin_s = list[float](), 0.0
    for number, (rate_per_s, seconds) in enumerate(phases):
        due += [begin_s + at_s for at_s in arrivals(rate_per_s, seconds, seed=number)]
        begin_s += seconds
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
    "rounds": lambda r: f"{len(r)}",
    "capacity/s": lambda r: _swaying(r, lambda one: one.capacity_per_s, "{:,.0f}"),
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
    parser.add_argument("--seconds", type=float, default=4.0, help="of a phase")
    parser.add_argument("--write", action="store_true", help="fill the table in docs/measured.md")
    given = parser.parse_args()
    os.sched_setaffinity(0, {1})
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="salver-overload-") as folder:
        model, body = forest(Path(folder), given.rows)
        for times in given.times * given.rounds:
            results.append(overload(Path(folder), model, body, times, given.seconds))
            print(json.dumps(asdict(results[-1]), indent=1), flush=True)
    if given.write:
        tables.fill(Path("docs/measured.md"), "overload", table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
