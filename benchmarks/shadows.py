"""A shadow that works, hangs or keeps crashing, and none at all: what callers notice of it.

    python -m benchmarks.shadows --write

One server each, asked by turns in open loop at half of its capacity, nothing bound to a core (see `benchmarks.swaps`). The
process of the shadow that hangs is stopped when the turn begins; that of the one that crashes is killed then, and whenever it
has come up again: a turn is longer than a shadow waits for its next start, so there is one in it. In each kind of turn the
processes are looked at alike, for that takes time too.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from urllib.request import urlopen

from benchmarks import tables
from benchmarks.openloop import Run, arrivals, offered, percentile, question
from benchmarks.process import Running, first_answer, free_port, running
from benchmarks.swaps import ROWS, body_of, capacity, forests

SALVER = Path(sys.executable).parent / "salver"
KINDS = ("none", "works", "hangs", "crashes")
LOOK_S = 0.5
UP_S = 2.0
"""So long one lives that crashes."""


def measure(store: Path, kind: str, body: str, rate_per_s: float, seconds: float) -> Run:
    """One turn. The store's route has the shadow, or not."""
    with _served(store) as server:
        if kind != "none":
            _until(lambda: _state(server) == "ready")
        _offer(server, body, rate_per_s, 2.0)
        with _disturbed(server, kind):
            return _offer(server, body, rate_per_s, seconds)


@contextmanager
def _served(store: Path) -> Iterator[Running]:
    port = free_port()
    command = [SALVER, "serve", "forest", "--store", store, "--port", str(port), "--no-monitor"]
    with running(command, port, store / "serve.txt", core=None) as server:
        first_answer(server, body_of([0.0] * 10).encode())
        yield server


def _state(server: Running) -> str:
    with urlopen(f"{server.url.removesuffix('/predict')}/models/forest", timeout=10) as answer:
        shadows = json.load(answer)["shadows"]
    return shadows[0]["state"] if shadows else ""


@contextmanager
def _disturbed(server: Running, kind: str) -> Iterator[None]:
    ended = threading.Event()

    def disturb() -> None:
        up: Counter[int] = Counter()  # how often each was seen
        while not ended.wait(LOOK_S):
            seen = _children(server.process.pid)
            up.update(seen)
            for pid in seen:
                if kind == "hangs" and up[pid] == 1:
                    os.kill(pid, signal.SIGSTOP)
                elif kind == "crashes" and up[pid] >= UP_S / LOOK_S:
                    os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _children(pid: int) -> list[int]:
    """The processes that a process has started; looking costs it next to nothing."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread that has ended meanwhile
            found += map(int, (task / "children").read_text().split())
    return found


def _offer(server: Running, body: str, rate_per_s: float, seconds: float) -> Run:
    asked = [question(server.url, body)]
    with offered(server.url, asked, arrivals(rate_per_s, seconds, seed=1)) as load:
        return load.result()


def _until(what: Callable[[], bool], patience_s: float = 30.0) -> None:
    end_s = time.monotonic() + patience_s
    while not what():
        if time.monotonic() > end_s:
            raise RuntimeError("it did not come to that")
        time.sleep(0.05)


def table(turns: dict[str, list[Run]]) -> str:
    """For docs/measured.md: medians of the turns."""
    lines = ["| shadow | p50 | p99 | ÷ without, in the same round | not answered |", "|---|--:|--:|--:|--:|"]
    usual_us = [run.percentile_us(99) for run in turns["none"]]
    for kind, runs in turns.items():
        p50_us, p99_us = (median(run.percentile_us(percent) for run in runs) for percent in (50, 99))
        lost = sum(answer.status != 200 for run in runs for answer in run.answers)
        asked = sum(len(run.answers) for run in runs)
        ratios = sorted(run.percentile_us(99) / us for run, us in zip(runs, usual_us, strict=True))
        ratio = f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        lines.append(f"| {kind} | {p50_us:,.0f} µs | {p99_us:,.0f} µs | {ratio} | {lost} of {asked:,} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=75.0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--write", action="store_true", help="fill the table in docs/measured.md")
    given = parser.parse_args()
    from salver.registry.registry import Registry

    turns: dict[str, list[Run]] = {kind: [] for kind in given.kinds}
    with tempfile.TemporaryDirectory(prefix="salver-shadows-") as folder:
        store = Path(folder)
        row: Sequence[float] = forests(store)
        body, registry = body_of(row), Registry(store)
        registry.promote("forest@1")
        rate_per_s = capacity(store, "forest", row) / 2
        for number in range(given.rounds):
            for kind in given.kinds if number % 2 else reversed(given.kinds):
                print(f"round {number + 1} of {given.rounds}: {kind}", file=sys.stderr)
                if kind != "none":
                    registry.shadow("forest@2")
                turns[kind].append(measure(store, kind, body, rate_per_s, given.seconds))
                print(f"  p99 {turns[kind][-1].percentile_us(99):,.0f} µs", file=sys.stderr)
                if kind != "none":
                    registry.end_shadow("forest")
    late_us = percentile([late for runs in turns.values() for run in runs for late in run.late_us], 99)
    print(table(turns) + f"\n{rate_per_s:,.0f} requests/s of {ROWS} rows; the generator itself was up to {late_us:.0f} µs late")
    if given.write:
        tables.fill(Path("docs/measured.md"), "shadows", table(turns))
    return 0


if __name__ == "__main__":
    sys.exit(main())
