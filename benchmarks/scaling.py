"""One worker and two, on two cores, by turns: how the rate grows, and the memory of a large forest.

    python -m benchmarks.scaling --write

So that the load generator is not the limit, a request is heavy (many rows for a forest) and wrk, with one thread and four
connections, takes a hundredth of a core. What two cores of this machine can give at all is measured beside it: a loop of
Python and numpy in one process, and in two.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks import tables
from benchmarks.load import load
from benchmarks.process import Running, cpu_s, first_answer, free_port, running, tree

SALVER = Path(sys.executable).parent / "salver"
ROWS = 200
CONNECTIONS = 4

_PLAIN = """
import json, time
import numpy as np
text = json.dumps({"instances": np.random.default_rng(0).random((200, 30)).tolist()})
end, count = time.perf_counter() + %f, 0
while time.perf_counter() < end:
    rows = np.array(json.loads(text)["instances"], dtype=np.float32)
    (rows @ rows.T).sum()
    count += 1
print(count)
"""


def plain(processes: int, seconds: float) -> float:
    """Turns a second of a loop that no server is part of, in that many processes at once."""
    command = [sys.executable, "-c", _PLAIN % seconds]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, env={"OPENBLAS_NUM_THREADS": "1"}) for _ in range(processes)]
    return sum(int(process.communicate()[0]) for process in started) / seconds


@contextmanager
def served(model: Path, store: Path, workers: int, body: str) -> Iterator[Running]:
    port = free_port()
    command = [SALVER, "serve", model, "--store", store, "--port", str(port), "--workers", str(workers)]
    with running(command, port, store / "serve.txt", core=None) as server:
        first_answer(server, body.encode())
        yield server


def memory_mb(root: int) -> float:
    """Of all processes, what they share counted once (PSS)."""
    return sum(_pss_kb(pid) for pid in tree(root)) / 1024


def _pss_kb(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


def forest(folder: Path, trees: int, depth: int | None) -> tuple[Path, str]:
    """A model file, and a body of many rows for it."""
    import joblib
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier

    X, y = make_classification(20_000, 30, n_informative=15, flip_y=0.2, random_state=0)
    path = folder / f"forest{trees}.joblib"
    joblib.dump(RandomForestClassifier(trees, max_depth=depth, random_state=0, n_jobs=2).fit(X, y), path)
    return path, json.dumps({"instances": X[:ROWS].tolist()})


def rates(model: Path, store: Path, body: str, rounds: int, seconds: int) -> dict[str, list[float]]:
    """Growth from one worker to two, of a server and of a plain loop; the generator's part of a core."""
    found: dict[str, list[float]] = {"growth": [], "plain": [], "cpu": [], "one_per_s": []}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        per_s: dict[int, float] = {}
        cost_s: dict[int, float] = {}
        for workers in (1, 2):
            with served(model, store, workers, body) as server:
                load(server.url, body, CONNECTIONS, 1, core=None)
                before_s = cpu_s(server.process.pid)
                loaded = load(server.url, body, CONNECTIONS, seconds, core=None)
                cost_s[workers] = (cpu_s(server.process.pid) - before_s) / loaded.requests
                per_s[workers] = loaded.per_s
        found["growth"].append(per_s[2] / per_s[1])
        found["cpu"].append(cost_s[2] / cost_s[1])
        found["one_per_s"].append(per_s[1])
        one = plain(1, seconds / 2)
        found["plain"].append(plain(2, seconds / 2) / one)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--large", type=int, default=0, metavar="TREES", help="measure the memory of a forest of so many trees")
    parser.add_argument("--write", action="store_true", help="fill the table in docs/measured.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="salver-scaling-") as folder:
        store = Path(folder)
        model, body = forest(store, given.trees, 10)
        found = rates(model, store, body, given.rounds, given.seconds)
        lines = ["| | median | of all turns |", "|---|--:|---|"]
        names = {
            "growth": "requests/s, 2 workers ÷ 1",
            "plain": "a plain loop of JSON and numpy, 2 processes ÷ 1",
            "cpu": "CPU time a request, 2 workers ÷ 1",
        }
        lines += [_line(name, found[key]) for key, name in names.items()]
        if given.large:
            lines.append(_memory(store, given.large))
    text = "\n".join(lines) + "\n"
    print(text)
    if given.write:
        tables.fill(Path("docs/measured.md"), "scaling", text)
    return 0


def _line(name: str, turns: list[float]) -> str:
    return f"| {name} | {median(turns):.2f} | {min(turns):.2f} to {max(turns):.2f} |"


def _memory(store: Path, trees: int) -> str:
    model, body = forest(store, trees, None)
    held: dict[int, float] = {}
    for workers in (1, 2):
        with served(model, store, workers, body) as server:
            load(server.url, body, CONNECTIONS, 3, core=None)
            time.sleep(1)
            held[workers] = memory_mb(server.process.pid)
    size_mb = model.stat().st_size / 2**20
    shown = f"{held[1]:,.0f} → {held[2]:,.0f} MB"
    return f"| memory of all processes (PSS), a forest of {size_mb:,.0f} MB, 2 ÷ 1 | {held[2] / held[1]:.2f} | {shown} |"


if __name__ == "__main__":
    sys.exit(main())
