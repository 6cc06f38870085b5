"""How long a start takes, how much memory an idle server holds, and what it has imported.

A start is from the command to the first answer, with the model lowered before (the cache). The measure beside it is what the
same interpreter takes to import what no such server can do without. Both are taken in turns, and medians are shown.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import joblib
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from benchmarks import tables
from benchmarks.process import first_answer, free_port, libraries, resident_mb, running

# `import starlette` alone loads next to nothing; an application is the least that a server needs of it.
IMPORTS = "import onnxruntime, uvicorn, starlette.applications"
BODY = b'{"features": [5.1, 3.5, 1.4, 0.2]}'
TRAINING = ("sklearn", "pandas", "torch", "onnx", "skl2onnx", "xgboost", "lightgbm", "catboost", "joblib", "scipy")
"""What the process of a server whose models are lowered never loads."""


class Startup(NamedTuple):
    """The turns that were taken, and the memory of the last server."""

    starts_s: list[float]
    imports_s: list[float]
    resident_mb: float

    @property
    def ratio(self) -> float:
        return median(self.starts_s) / median(self.imports_s)

    @property
    def best_ratio(self) -> float:
        """Of the quickest turns: steadier on a machine that does other things meanwhile."""
        return min(self.starts_s) / min(self.imports_s)


def measure(model: Path, rounds: int) -> Startup:
    """`rounds` turns, after one start that is not counted and fills the cache."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        _start(model, store)
        starts: list[float] = []
        imports: list[float] = []
        resident = 0.0
        for _ in range(rounds):
            imports.append(_imports_s())
            start_s, resident = _start(model, store)
            starts.append(start_s)
    return Startup(starts, imports, resident)


def imported(model: Path) -> set[str]:
    """The top-level packages that the server process has loaded after an answer, told by the interpreter and by the kernel.

    The interpreter is asked to name every import as it happens; the kernel, which files are mapped into the process.
    """
    with tempfile.TemporaryDirectory() as folder:
        store, log = Path(folder), Path(folder) / "imports.txt"
        _start(model, store)
        port = free_port()
        with running([sys.executable, "-X", "importtime", *_serve(model, port, store)], port, log, core=None) as server:
            first_answer(server, BODY)
            mapped = libraries(server.process.pid)
        named = set(re.findall(r"^import time: +\d+ \| +\d+ \| *([\w]+)", log.read_text(), re.MULTILINE))
    assert "uvicorn" in named, "the interpreter did not name its imports"
    assert any("/msgspec/" in path for path in mapped), "the kernel did not name the mapped files"
    return named | {part for path in mapped for part in Path(path).parts}


def _start(model: Path, store: Path) -> tuple[float, float]:
    """Seconds from the command to the first answer, and MB held by the server that then idles."""
    port = free_port()
    with running([sys.executable, *_serve(model, port, store)], port, store / "output.txt", core=None) as server:
        first_answer(server, BODY, every_s=0.002)
        return time.perf_counter() - server.started, resident_mb(server.process.pid)


def _serve(model: Path, port: int, store: Path) -> list[str]:
    return ["-m", "salver", "serve", str(model), "--port", str(port), "--store", str(store)]


def _imports_s() -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
    return time.perf_counter() - start


def iris_models(folder: Path) -> dict[str, Path]:
    """The two kinds of lowered models: one that numpy serves and one that ONNX Runtime serves."""
    X, y = load_iris(return_X_y=True)
    made = {
        "LogisticRegression": LogisticRegression(max_iter=1000),
        "RandomForest, 100 trees": RandomForestClassifier(100, random_state=0),
    }
    files = {title: folder / f"model{number}.pkl" for number, title in enumerate(made)}
    for title, model in made.items():
        joblib.dump(model.fit(X, y), files[title])
    return files


def table(measured: dict[str, Startup], loaded: dict[str, set[str]]) -> str:
    rows = {
        "start to first answer, lowered before": [f"{median(one.starts_s) * 1e3:.0f} ms" for one in measured.values()],
        "importing onnxruntime, uvicorn and starlette alone": [
            f"{median(one.imports_s) * 1e3:.0f} ms" for one in measured.values()
        ],
        "ratio": [f"{one.ratio:.2f}" for one in measured.values()],
        "memory of the idle server": [f"{one.resident_mb:.0f} MB" for one in measured.values()],
        "training libraries in its process": [
            ", ".join(sorted(names.intersection(TRAINING))) or "none" for names in loaded.values()
        ],
    }
    head = f"| | {' | '.join(measured)} |\n|---|{'--:|' * len(measured)}\n"
    return head + "".join(f"| {name} | {' | '.join(cells)} |\n" for name, cells in rows.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="fill the table in docs/measured.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = iris_models(Path(folder))
        measured = {title: measure(file, given.rounds) for title, file in models.items()}
        made = table(measured, {title: imported(file) for title, file in models.items()})
    print(made)
    if given.write:
        tables.fill(Path("docs/measured.md"), "startup", made)


if __name__ == "__main__":
    main()
