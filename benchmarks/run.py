"""`make bench`: Salver beside the floor and its peers, all in one run.

One server at a time, one worker, pinned to core 0; wrk on core 1, 32 connections kept alive, one row a request. The
servers take turns for several rounds and the medians are shown, so that whatever else the machine does hits all of them.
CPU time a request counts all of a server's processes. A server that gives a wrong answer is not measured.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median

from benchmarks import tables
from benchmarks.load import load
from benchmarks.process import ask, cpu_s, first_answer, free_port, running
from benchmarks.servers import BESIDE, SERVERS, Case, cases

FOLDER = Path(".bench")
MODELS = ("iris", "forest", "histogram", "xgboost", "pipeline")
WARM_UP_S = 2
ALONE_S = 2

Figures = dict[str, float]


def measure(case: Case, server: str, given: argparse.Namespace) -> Figures:
    """One turn of one server. Raises RuntimeError when it gives no answer or a wrong one."""
    work = FOLDER.resolve() / "work" / server
    work.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command, environment, headers, path, other_body = SERVERS[server][1](case, port, work)
    text = other_body or case.body
    body = text.encode()
    with running(command, port, FOLDER / f"{server}.txt", environment, path=path) as started:
        _check(case, first_answer(started, body, headers=headers))
        load(started.url, text, given.connections, WARM_UP_S, headers)
        ask(started.url, body, headers)  # behind what wrk left in the queue
        before = cpu_s(started.process.pid)
        loaded = load(started.url, text, given.connections, given.seconds, headers)
        used_s = cpu_s(started.process.pid) - before
        ask(started.url, body, headers)
        alone = load(started.url, text, 1, ALONE_S, headers)
        _check(case, ask(started.url, body, headers))
    if loaded.bad or alone.bad or not loaded.requests:
        raise RuntimeError(f"{loaded.bad + alone.bad} bad answers of {loaded.requests + alone.requests}")
    return {
        "cpu_us": used_s / loaded.requests * 1e6,
        "per_s": loaded.per_s,
        "p50_us": loaded.p50_us,
        "p99_us": loaded.p99_us,
        "alone_p50_us": alone.p50_us,
    }


def _check(case: Case, prediction: object) -> None:
    if prediction != case.prediction:
        raise RuntimeError(f"a wrong answer: {prediction}, not {case.prediction}")


def rounds(case: Case, given: argparse.Namespace) -> dict[str, Figures]:
    """The medians of each server's turns; a server that failed in one is left out."""
    turns: dict[str, list[Figures]] = {server: [] for server in given.servers}
    for number in range(given.rounds):
        for server in list(turns):
            print(f"{case.name}, round {number + 1} of {given.rounds}: {server}", file=sys.stderr, flush=True)
            try:
                turns[server].append(measure(case, server, given))
            except RuntimeError as error:
                print(f"  not measured: {error}; see {FOLDER / server}.txt", file=sys.stderr)
                del turns[server]
    return {server: {figure: median(turn[figure] for turn in every) for figure in every[0]} for server, every in turns.items()}


def main() -> int:
    given = _arguments()
    missing = [tool for tool in ("wrk", "nginx", "taskset") if not shutil.which(tool)]
    if missing or (os.cpu_count() or 1) < 2:
        print(
            f"make bench needs two cores and {', '.join(missing)}: apt-get install wrk nginx-light util-linux", file=sys.stderr
        )
        return 1
    subprocess.run([sys.executable, "-m", "benchmarks.models", FOLDER / "models"], check=True)
    results = {case.title: rounds(case, given) for case in cases(FOLDER / "models", given.models)}
    (FOLDER / "results.json").write_text(json.dumps(results, indent=1))
    print(tables.whole(results))
    print(tables.short(results))
    if given.write:
        tables.fill(Path("docs/measured.md"), "bench", tables.whole(results))
        tables.fill(Path("README.md"), "bench", tables.short(results))
    complete = all(len(figures) == len(given.servers) for figures in results.values())
    return 0 if complete else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--servers", nargs="+", default=list(BESIDE), choices=list(SERVERS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of load, a turn")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--write", action="store_true", help="fill the tables in README.md and docs/measured.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
