"""What monitoring costs a server that has as much to do as it can.

`python -m benchmarks.monitored [--seconds 150] [--turns 1] [--model iris]`, where `salver[log]` is installed. The
server and all that it starts is pinned to core 0, wrk to core 1; without the monitor and with it by turns. Slices are of one
minute, so that in a turn there is more to count than by default: the monitor looks every minute, and counts at most
`rows_a_slice` rows of each slice.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import pandas as pd

import salver
from benchmarks.load import load
from benchmarks.models import MODELS
from benchmarks.process import Running, cpu_s, first_answer, free_port, running, tree
from salver.monitors.results import read_results

SALVER = Path(sys.executable).parent / "salver"
CONNECTIONS = 32
WATCHED_EVERY_S = 0.2


class Turn(NamedTuple):
    """`cpu_s` is what the monitor's own processes used of the core, as far as it was seen; `counted` rows it has told of."""

    per_s: float
    cpu_s: float
    counted: int


def turn(name: str, body: str, seconds: int, monitored: bool, store: Path) -> Turn:
    """One turn of a server on a new log."""
    log, port = Path(tempfile.mkdtemp(dir=store)), free_port()
    (log / "monitor.toml").write_text('slice = "1m"\n')
    command = [SALVER, "serve", name, "--store", store, "--log", log, "--port", str(port)]
    with running([*command, *([] if monitored else ["--no-monitor"])], port, log / "serve.txt") as server:
        first_answer(server, body.encode())
        with _Watch(server) as watch:
            found = load(server.url, body, CONNECTIONS, seconds)
    if found.bad:
        raise RuntimeError(f"{found.bad} answers were none")
    return Turn(found.per_s, watch.used_s, sum(one.rows for one in read_results(log)))


class _Watch(threading.Thread):
    """Adds up what processes of the monitor use, by looking at them again and again."""

    def __init__(self, server: Running) -> None:
        super().__init__()
        self._server, self._ended = server, threading.Event()
        self._each: dict[int, float] = {}

    @property
    def used_s(self) -> float:
        return sum(self._each.values())

    def run(self) -> None:
        while not self._ended.wait(WATCHED_EVERY_S):
            for pid in tree(self._server.process.pid):
                if _is_monitor(pid):
                    self._each[pid] = max(self._each.get(pid, 0.0), cpu_s(pid))

    def __enter__(self) -> _Watch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


def _is_monitor(pid: int) -> bool:
    try:
        return b"\0monitor\0--beside" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--seconds", type=int, default=150)
    given.add_argument("--turns", type=int, default=1, help="of each kind")
    given.add_argument("--model", default="iris", choices=list(MODELS))
    options = given.parse_args()
    title, make = MODELS[options.model]
    lines = [
        "| model | requests/s, no monitor | with it | cost | rows it counted | its time of the core |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        store = Path(scratch)
        model, features, row = make()
        sample = pd.concat([row] * 500) if isinstance(row, pd.DataFrame) else np.repeat(row, 500, axis=0)
        salver.save(model, options.model, sample=sample, store=store)
        body = json.dumps({"features": features})
        found: dict[bool, list[Turn]] = {False: [], True: []}
        for at in range(2 * options.turns):
            found[bool(at % 2)].append(turn(options.model, body, options.seconds, bool(at % 2), store))
            print(found[bool(at % 2)][-1], flush=True)
    without, with_it = (median(one.per_s for one in found[kind]) for kind in (False, True))
    share = sum(one.cpu_s for one in found[True]) / options.seconds / options.turns
    counted = sum(one.counted for one in found[True])
    lines.append(f"| {title} | {without:,.0f} | {with_it:,.0f} | {1 - with_it / without:.1%} | {counted:,} | {share:.1%} |")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
