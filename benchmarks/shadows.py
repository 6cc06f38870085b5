"""A shadow that works, hangs or keeps crashing, and none at all: what callers notice of it.

    python -m benchmarks.shadows --write

One server each, asked by turns in open loop at half of its capacity, nothing bound to a core (see `benchmarks.swaps`). The
process of the shadow that hangs is stopped; that of the one that crashes is killed whenever it has come up again.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks import tables
from benchmarks.openloop import Run, arrivals, offered, percentile, question
from benchmarks.process import Running, ask, free_port, running, tree
from benchmarks.swaps import ROWS, body_of, capacity, forests

SALVER = Path(sys.executable).parent / "salver"
KINDS = ("none", "works", "hangs", "crashes")


def measure(store: Path, kind: str, body: str, rate_per_s: float, seconds: float) -> Run:
    """One turn. The store's route has the shadow, or not."""
    with _served(store) as server:
        if kind != "none":
            _until(lambda: bool(_shadows(server)))
        with _disturbed(server, kind):
            _offer(server, body, rate_per_s, 2.0)
            return _offer(server, body, rate_per_s, seconds)


@contextmanager
def _served(store: Path) -> Iterator[Running]:
    port = free_port()
    command = [SALVER, "serve", "forest", "--store", store, "--port", str(port), "--no-monitor"]
    with running(command, port, store / "serve.txt", core=None) as server:
        _until(lambda: _answers(server))
        yield server


def _answers(server: Running) -> bool:
    try:
        ask(server.url, body_of([0.0] * 10).encode())
    except OSError:
        return False
    return True


@contextmanager
def _disturbed(server: Running, kind: str) -> Iterator[None]:
    ended = threading.Event()

    def disturb() -> None:
        stopped: set[int] = set()
        while not ended.wait(0.5):  # looking takes the processor from what is measured
            for pid in {*_shadows(server)} - stopped:
                os.kill(pid, signal.SIGSTOP if kind == "hangs" else signal.SIGKILL)
                stopped.add(pid)

    thread = threading.Thread(target=disturb)
    if kind in ("hangs", "crashes"):
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if thread.is_alive():
            thread.join()


def _shadows(server: Running) -> list[int]:
    """The processes of shadows that the server has started."""
    return [pid for pid in tree(server.process.pid) if "salver.engine.shadowing" in _command(pid)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


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
    lines = ["| shadow | p50 | p99 | ÷ without | not answered |", "|---|--:|--:|--:|--:|"]
    usual_us = median(run.percentile_us(99) for run in turns["none"])
    for kind, runs in turns.items():
        p50_us, p99_us = (median(run.percentile_us(percent) for run in runs) for percent in (50, 99))
        lost = sum(answer.status != 200 for run in runs for answer in run.answers)
        asked = sum(len(run.answers) for run in runs)
        lines.append(f"| {kind} | {p50_us:,.0f} µs | {p99_us:,.0f} µs | {p99_us / usual_us:.2f} | {lost} of {asked:,} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20.0)
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
            for kind in given.kinds:
                print(f"round {number + 1} of {given.rounds}: {kind}", file=sys.stderr)
                if kind != "none":
                    registry.shadow("forest@2")
                turns[kind].append(measure(store, kind, body, rate_per_s, given.seconds))
                if kind != "none":
                    registry.end_shadow("forest")
    late_us = percentile([late for runs in turns.values() for run in runs for late in run.late_us], 99)
    print(table(turns) + f"\n{rate_per_s:,.0f} requests/s of {ROWS} rows; the generator itself was up to {late_us:.0f} µs late")
    if given.write:
        tables.fill(Path("docs/measured.md"), "shadows", table(turns))
    return 0


if __name__ == "__main__":
    sys.exit(main())
