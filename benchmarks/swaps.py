"""Versions that take turns while a server is under constant open-loop load: what is lost, misrouted, slower, or kept in memory?

    python -m benchmarks.swaps --swaps 200 --write

Each swap is a promotion in the registry, as anybody makes it. The load comes from another process; it is half of the server's
capacity unless told otherwise. Nothing is bound to a core: a new version is tried in a process that takes what is left over
anywhere, and on the core of a busy server little is: at half of its capacity a server is busy nine tenths of the time, for its
batches are smaller than at full.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from benchmarks.chart import chart
from benchmarks.openloop import Run, arrivals, offered, percentile, question
from benchmarks.process import Running, free_port, resident_mb, running

SALVER = Path(sys.executable).parent / "salver"
WATCH_S = 0.1
PAUSE_S = 0.8
"""Between two swaps: what is measured there is what a swap is compared with."""

ROWS = 8
"""In a request: so few are needed for half of the server's capacity that the load generator is never the limit."""

_CHUNK = 20  # swaps in one run of the load generator


@dataclass
class Swap:
    """One, by time.perf_counter: the promotion, its being in force, the old version's being gone."""

    version: int
    began: float
    in_force: float
    gone: float


@dataclass
class Result:
    """What was seen. Times in µs, memory in MB."""

    swaps: int = 0
    requests: int = 0
    failed: int = 0
    misrouted: int = 0
    rate_per_s: float = 0.0
    p50_us: float = 0.0
    p99_us: float = 0.0
    p99_in_swaps_us: float = 0.0
    memory_mb: float = 0.0
    memory_after_mb: float = 0.0
    swap_s: float = 0.0  # the median, from promotion to being in force
    late_p99_us: float = 0.0  # the generator's own
    points: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])  # seconds, p99 of half a second
    marks: list[float] = field(default_factory=list[float])

    @property
    def summary(self) -> dict[str, Any]:
        """The figures without the curve."""
        return {name: value for name, value in asdict(self).items() if name not in ("points", "marks")}


def swap_under_load(store: Path, name: str, row: Sequence[float], swaps: int, rate_per_s: float) -> Result:
    """Swap versions 1 and 2 of a model of the store, whose answers differ on `row`."""
    from salver.registry.registry import Registry

    registry, body = Registry(store), body_of(row)
    with _served(store, name) as server:
        predictions = {}
        for version in (1, 2):
            _promote(registry, server, name, version)
            predictions[version] = _ask(server, body)
        if predictions[1] == predictions[2]:
            raise RuntimeError("the versions answer alike; nobody could tell who answered")
        _promote(registry, server, name, 1)
        result = Result(rate_per_s=rate_per_s)
        _offer(server, body, rate_per_s, 3.0)
        result.memory_mb = resident_mb(server.process.pid)
        in_swaps: list[float] = []
        between: list[float] = []
        late: list[float] = []
        times: list[float] = []
        begin = time.perf_counter()
        while result.swaps < swaps:
            made, run = _chunk(registry, server, name, body, min(_CHUNK, swaps - result.swaps), rate_per_s)
            _judge(result, made, run, predictions)
            _sort(result, made, run, in_swaps, between, begin)
            late += run.late_us
            times += [swap.in_force - swap.began for swap in made]
        result.p50_us, result.p99_us = percentile(between, 50), percentile(between, 99)
        result.p99_in_swaps_us, result.late_p99_us = percentile(in_swaps, 99), percentile(late, 99)
        result.swap_s = percentile(times, 50)
        time.sleep(1)
        result.memory_after_mb = resident_mb(server.process.pid)
        return result


def capacity(store: Path, name: str, row: Sequence[float]) -> float:
    """Requests a second that the server answers when it is asked without pause. Needs wrk."""
    from benchmarks.load import load

    with _served(store, name) as server:
        return load(server.url, body_of(row), 8, 5).per_s


def body_of(row: Sequence[float]) -> str:
    return json.dumps({"instances": [list(row)] * ROWS})


def _ask(server: Running, body: str) -> Any:
    with urlopen(server.url, body.encode(), timeout=10) as answer:
        return json.load(answer)["predictions"]


@contextmanager
def _served(store: Path, name: str) -> Iterator[Running]:
    command = [SALVER, "serve", name, "--store", store, "--watch", str(WATCH_S)]
    port = free_port()
    with running([*command, "--port", str(port)], port, store / "serve.txt", core=None) as server:
        _until(lambda: "routing" in (_status(server, name) or {}))
        yield server


def _offer(server: Running, body: str, rate_per_s: float, seconds: float) -> Run:
    with offered(server.url, [question(server.url, body)], arrivals(rate_per_s, seconds)) as load:
        return load.result()


def _chunk(registry: Any, server: Running, name: str, body: str, swaps: int, rate_per_s: float) -> tuple[list[Swap], Run]:
    """Some swaps under one run of the load, which is cut when they are done."""
    seconds = swaps * 20.0  # at most: it is stopped when they are done
    made: list[Swap] = []
    current = _status(server, name)["routing"]["default"]
    with offered(server.url, [question(server.url, body)], arrivals(rate_per_s, seconds)) as load:
        time.sleep(1.5)
        for _ in range(swaps):
            current = 3 - current
            made.append(_promote(registry, server, name, current))
            time.sleep(PAUSE_S)
        if not load.running:
            raise RuntimeError("the load ended before the swaps did")
        load.stop()
        return made, load.result()


def _promote(registry: Any, server: Running, name: str, version: int) -> Swap:
    began = time.perf_counter()
    registry.promote(f"{name}@{version}")
    _until(lambda: _status(server, name)["routing"]["default"] == version)
    in_force = time.perf_counter()
    _until(lambda: [one["version"] for one in _status(server, name)["versions"]] == [version])
    return Swap(version, began, in_force, time.perf_counter())


def _judge(result: Result, made: list[Swap], run: Run, predictions: dict[int, object]) -> None:
    """Whether each answer is right, and by a version that could give it at that time."""
    result.swaps += len(made)
    result.requests += len(run.answers)
    for answer in run.answers:
        if answer.status != 200:
            result.failed += 1
            continue
        said = json.loads(answer.body)
        sent, came = run.started + answer.due_s, run.started + answer.due_s + answer.latency_s
        if said["version"] not in _possible(made, sent, came) or said["predictions"] != predictions[said["version"]]:
            result.misrouted += 1


def _possible(made: list[Swap], sent: float, came: float) -> set[int]:
    """Who may have answered a request: whoever was in force at some time between its being sent and its answer."""
    possible = {3 - made[0].version} if sent <= made[0].in_force else set[int]()
    for i, swap in enumerate(made):
        until = made[i + 1].in_force if i + 1 < len(made) else float("inf")
        if came >= swap.began and sent <= until:
            possible.add(swap.version)
    return possible


def _sort(result: Result, made: list[Swap], run: Run, in_swaps: list[float], between: list[float], begin: float) -> None:
    """Latencies by whether a swap was on when the request was due, and the curve for the chart."""
    halves: dict[int, list[float]] = {}
    for answer in run.answers:
        due = run.started + answer.due_s
        swapping = any(swap.began <= due <= swap.gone for swap in made)
        if answer.due_s > 1.0 and due < made[-1].gone + PAUSE_S:
            (in_swaps if swapping else between).append(answer.latency_s * 1e6)
            halves.setdefault(int((due - begin) * 2), []).append(answer.latency_s * 1e6)
    result.points += [(half / 2, percentile(latencies, 99)) for half, latencies in sorted(halves.items())]
    result.marks += [swap.in_force - begin for swap in made]


def _status(server: Running, name: str) -> Any:
    try:
        with urlopen(f"{server.url.removesuffix('/predict')}/models/{name}", timeout=10) as answer:
            return json.load(answer)
    except OSError:
        return None


def _until(what: Any, patience_s: float = 60.0) -> None:
    deadline = time.monotonic() + patience_s
    while not what():
        if time.monotonic() > deadline:
            raise RuntimeError("it did not come about")
        time.sleep(0.01)


def forests(store: Path, trees: int = 100) -> list[float]:
    """Publish two versions of a forest, and return a row on which they differ."""
    import numpy as np
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier

    import salver

    X, y = make_classification(5000, 10, n_informative=6, random_state=0)
    models = [RandomForestClassifier(trees, random_state=seed).fit(X, y if not seed else 1 - y) for seed in (0, 1)]
    for model in models:
        salver.save(model, "forest", sample=X[:100], store=store)
    differ = np.flatnonzero(models[0].predict(X) != models[1].predict(X))
    return X[differ[0]].tolist()


def write_chart(result: Result, path: Path) -> None:
    """The slowest hundredth over time, with the swaps marked."""
    title = (
        f"{result.swaps} swaps at {result.rate_per_s:,.0f} requests/s: {result.failed} failed, {result.misrouted} misrouted; "
        f"p99 {result.p99_us / 1e3:.2f} ms, in swaps {result.p99_in_swaps_us / 1e3:.2f} ms; "
        f"memory {result.memory_mb:.0f} → {result.memory_after_mb:.0f} MB"
    )
    points = [(at, us / 1e3) for at, us in result.points]
    path.write_text(chart(title, points, result.marks, "seconds; each line is a swap", "p99 of half a second, ms"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=200)
    parser.add_argument("--rate", type=float, help="requests a second (default: half of what wrk gets)")
    parser.add_argument("--write", action="store_true", help="write docs/swaps.svg")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="salver-swaps-") as folder:
        store = Path(folder)
        row = forests(store)
        if given.rate is None and not shutil.which("wrk"):
            parser.error("without wrk (apt-get install wrk), say --rate")
        rate_per_s = given.rate or capacity(store, "forest", row) / 2
        result = swap_under_load(store, "forest", row, given.swaps, rate_per_s)
    print(json.dumps(result.summary, indent=1))
    if given.write:
        write_chart(result, Path("docs/swaps.svg"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
