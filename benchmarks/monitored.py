"""What monitoring costs a server that has as much to do as it can.

`python -m benchmarks.monitored [--pairs 1] [--model iris]`, where `salver[log]` and wrk are installed. The server and the
monitor are pinned to core 0, wrk to core 1. A pair is two whole minutes of one server: in one of them the monitor looks, as a
server has it do when a slice is over (the same command), and counts the minute before; in the other it does not. Which is first
takes turns; where it is the minute with the look, one without comes before both, for there to be something to count. The log is
not made cold meanwhile: that comes when it comes, and takes more than the look.

Slices are of one minute, so that a minute has what it costs to start a look, which by default five minutes have; of each minute
as many rows are looked into as by default of a fifth of a slice.
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
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import pandas as pd
import psutil

import salver
from benchmarks.load import load
from benchmarks.models import MODELS
from benchmarks.process import first_answer, free_port, running
from benchmarks.tables import fill
from salver.log.locks import held
from salver.log.table import LOCK
from salver.monitors.results import read_results
from salver.monitors.settings import GRACE_US, Settings

PAGE = Path(__file__).resolve().parents[1] / "docs" / "measured.md"
BIN = Path(sys.executable).parent
CONNECTIONS = 32
MINUTE_S = 60
LOADED_S = 58  # of a minute: wrk ends before the next begins


class Pair(NamedTuple):
    """Requests a second in a minute without a look and in one with it, and what a request took of the core's time then, in µs,
    the look included; the look's own time, and the rows that it told of."""

    without: float
    with_it: float
    us_without: float
    us_with: float
    cpu_s: float
    counted: int
    looked_into: int

    @property
    def cost(self) -> float:
        """In answers: as it was, whatever else the machine did."""
        return 1 - self.with_it / self.without

    @property
    def cpu_cost(self) -> float:
        """In answers that the same time of the core would have given."""
        return 1 - self.us_without / self.us_with


def pair(name: str, body: str, store: Path, look_first: bool) -> Pair:
    """Two minutes of a server on a new log, or three."""
    log, port = Path(tempfile.mkdtemp(dir=store)), free_port()
    (log / "monitor.toml").write_text(f'slice = "1m"\nwindow = "1m"\nrows_a_slice = {Settings().rows_a_slice // 5}\n')
    command = [BIN / "salver", "serve", name, "--store", store, "--log", log, "--port", str(port), "--no-monitor"]
    per_s: dict[bool, float] = {}
    us: dict[bool, float] = {}
    took_s = 0.0
    with held(log / LOCK), running(command, port, log / "serve.txt") as server:  # nothing is compacted meanwhile
        first_answer(server, body.encode())
        for looks in (None, True, False) if look_first else (False, True):
            time.sleep(-time.time() % MINUTE_S)
            look = _Look(log, store) if looks else None
            before_s = _own_s(server.process.pid)
            found = load(server.url, body, CONNECTIONS, LOADED_S)
            served_s, used_s = _own_s(server.process.pid) - before_s, 0.0
            if found.bad:
                raise RuntimeError(f"{found.bad} answers were none")
            if look is not None:
                look.join()
                if look.status:
                    raise RuntimeError("the look failed")
                used_s = look.cpu_s
                (one,) = read_results(log)
            if looks is not None:
                per_s[looks] = found.per_s
                us[looks] = (served_s + used_s) / found.requests * 1e6
                took_s = max(took_s, used_s)
    return Pair(per_s[False], per_s[True], us[False], us[True], took_s, one.rows, sum(window.counted for window in one.windows))


def _own_s(pid: int) -> float:
    """Time of the processor that a process used, without those that it started."""
    used = psutil.Process(pid).cpu_times()
    return used.user + used.system


class _Look(threading.Thread):
    """A look at the log when the slice that has just ended is complete, started as a server does."""

    def __init__(self, log: Path, store: Path) -> None:
        super().__init__()
        self._command = ["taskset", "-c", "0", "nice", "-n", "10", sys.executable, "-m", "salver", "monitor", "--beside"]
        self._command += ["--log", str(log), "--store", str(store)]
        self.cpu_s, self.status = 0.0, 1
        self.start()

    def run(self) -> None:
        time.sleep(GRACE_US / 1e6 + 0.5)
        process = subprocess.Popen(self._command)
        _, self.status, used = os.wait4(process.pid, 0)
        self.cpu_s = used.ru_utime + used.ru_stime


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--pairs", type=int, default=1)
    given.add_argument("--model", default="iris", choices=list(MODELS))
    given.add_argument("--first", type=int, default=0, help="the number of the first pair: odd ones begin with the look")
    given.add_argument("--add", type=Path, help="a file with the pairs of earlier runs; these are added to it")
    given.add_argument("--write", action="store_true", help="fill the table in docs/measured.md")
    options = given.parse_args()
    title, make = MODELS[options.model]
    pairs = [Pair(*one) for one in json.loads(options.add.read_text())] if options.add and options.add.exists() else []
    with tempfile.TemporaryDirectory() as scratch:
        store = Path(scratch)
        model, features, row = make()
        sample = pd.concat([row] * 500) if isinstance(row, pd.DataFrame) else np.repeat(row, 500, axis=0)
        salver.save(model, options.model, sample=sample, store=store)
        body = json.dumps({"features": features})
        for at in range(len(pairs) or options.first, (len(pairs) or options.first) + options.pairs):
            pairs.append(pair(options.model, body, store, look_first=bool(at % 2)))
            print(pairs[-1], f"{pairs[-1].cost:.1%} {pairs[-1].cpu_cost:.1%}", flush=True)
    if options.add:
        options.add.write_text(json.dumps(pairs))
    table = "\n".join(lines(title, pairs)) + "\n"
    print(table)
    if options.write:
        fill(PAGE, "monitored", table)


def lines(title: str, pairs: list[Pair]) -> list[str]:
    """The table: medians of all pairs."""
    costs, cpu = sorted(one.cost for one in pairs), sorted(one.cpu_cost for one in pairs)
    without, with_it, us_without, us_with, took_s, counted, into = (median(part) for part in zip(*pairs, strict=True))
    cells = [
        ("requests/s, no look", f"{without:,.0f}"),
        ("with one", f"{with_it:,.0f}"),
        ("cost, median of the pairs", f"{median(costs):.1%}"),
        ("all pairs", f"{costs[0]:.1%} to {costs[-1]:.1%}"),
        ("µs of the core a request", f"{us_without:.2f}"),
        ("with a look", f"{us_with:.2f}"),
        ("cost", f"{median(cpu):.1%}"),
        ("all pairs", f"{cpu[0]:.1%} to {cpu[-1]:.1%}"),
        ("the look", f"{took_s:.2f} s"),
        ("rows it counted", f"{counted:,.0f}"),
        ("looked into", f"{into:,.0f}"),
    ]
    made = [f"| {title}, {len(pairs)} pairs | |", "|---|--:|"]
    return [*made, *(f"| {name} | {value} |" for name, value in cells)]


if __name__ == "__main__":
    main()
