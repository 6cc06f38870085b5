"""Batch, beside a bare loop of the same libraries, a pandas script and MLflow: `python -m benchmarks.batch`.

All in one run on the same cores and the same files: rows of 20 numbers, a model like that of iris and a RandomForest of 100
trees; each a process of its own. The peers are asked for fewer rows, since their rate does not depend on how many there are.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.tables import fill

COLUMNS = 20
FILE_ROWS = 1_000_000
GROUP_ROWS = 100_000
PEER_ROWS = 200_000
CHUNK_ROWS = 65_536
ROUNDS = 3
NAMES = [f"f{i}" for i in range(COLUMNS)]
MODELS = {"iris": "LogisticRegression", "forest": "RandomForest, 100 trees"}
PAGE = Path(__file__).resolve().parents[1] / "docs" / "measured.md"

SALVER = "Salver, `salver batch`"
BARE = "bare loop: pyarrow read, onnxruntime run, pyarrow write"
PANDAS = "pandas + joblib script"
MLFLOW = "MLflow, `mlflow.pyfunc` predict"


def make(folder: Path, rows: int) -> None:
    """The models, each published in a store, as a joblib file and for MLflow; and the table, a file a million rows."""
    import joblib
    import mlflow.sklearn
    import pandas as pd
    import skl2onnx
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    import salver

    X, y = sample(np.random.default_rng(0), 3000)
    frame = pd.DataFrame(X, columns=NAMES)
    kinds = {"iris": LogisticRegression(max_iter=1000), "forest": RandomForestClassifier(100, max_depth=6, random_state=0)}
    for name, kind in kinds.items():
        model = kind.fit(frame, y)
        salver.save(model, name, sample=frame, store=folder / "store")
        graph = skl2onnx.to_onnx(model, X[:1], options={"zipmap": False})
        (folder / f"{name}.onnx").write_bytes(graph.SerializeToString())
        joblib.dump(model, folder / f"{name}.joblib")
        mlflow.sklearn.save_model(model, folder / f"mlflow-{name}", serialization_format="cloudpickle")
    (folder / "in").mkdir()
    (folder / "peers").mkdir()
    table(folder / "peers" / "0.parquet", PEER_ROWS, seed=1)
    files = [
        (folder / "in" / f"{n:05}.parquet", min(FILE_ROWS, rows - start), 2 + n)
        for n, start in enumerate(range(0, rows, FILE_ROWS))
    ]
    with ProcessPoolExecutor() as pool:
        list(pool.map(table, *zip(*files, strict=True)))


def sample(draw: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of three kinds, float32 of (rows, COLUMNS), and which kind each is of."""
    which = draw.integers(0, 3, rows)
    return draw.standard_normal((rows, COLUMNS), np.float32) + which[:, None].astype(np.float32) * np.float32(0.7), which


def table(path: Path, rows: int, seed: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    made, _ = sample(np.random.default_rng(seed), rows)
    columns = pa.table({name: np.ascontiguousarray(made[:, i]) for i, name in enumerate(NAMES)})
    pq.write_table(columns, path, row_group_size=GROUP_ROWS)


def bare(folder: Path, model: str) -> int:
    """What anybody would write with these libraries: read, run what skl2onnx made, write; ONNX Runtime on all cores."""
    import onnxruntime as ort
    import pyarrow as pa
    import pyarrow.parquet as pq

    session = ort.InferenceSession(str(folder / f"{model}.onnx"), providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0].name
    (folder / "bare").mkdir()
    rows = 0
    for path in sorted((folder / "in").iterdir()):
        writer = None
        for batch in pq.ParquetFile(path).iter_batches(CHUNK_ROWS):
            X = np.column_stack([column.to_numpy() for column in batch.columns])
            label, probabilities = session.run(None, {given: X})
            columns = {name: batch.column(name) for name in batch.schema.names}
            columns["prediction"] = pa.array(label)
            columns |= {f"probability_{k}": pa.array(np.ascontiguousarray(probabilities[:, k])) for k in range(3)}
            scored = pa.table(columns)
            writer = writer or pq.ParquetWriter(folder / "bare" / path.name, scored.schema)
            writer.write_table(scored)
            rows += len(scored)
        if writer:
            writer.close()
    return rows


def ours(folder: Path, model: str) -> int:
    import salver

    return salver.batch(model, folder / "in", folder / "ours", store=folder / "store").rows


def pandas(folder: Path, model: str) -> int:
    import joblib
    import pandas as pd

    fitted = joblib.load(folder / f"{model}.joblib")
    frame = pd.read_parquet(folder / "peers")
    probabilities = fitted.predict_proba(frame)
    answers = frame.assign(prediction=fitted.predict(frame), **{f"probability_{k}": probabilities[:, k] for k in range(3)})
    answers.to_parquet(folder / "pandas.parquet")
    return len(frame)


def mlflow(folder: Path, model: str) -> int:
    import mlflow.pyfunc
    import pandas as pd

    fitted = mlflow.pyfunc.load_model(str(folder / f"mlflow-{model}"))
    frame = pd.read_parquet(folder / "peers")
    frame.assign(prediction=fitted.predict(frame)).to_parquet(folder / "mlflow.parquet")
    return len(frame)


RUNS = {SALVER: ours, BARE: bare, PANDAS: pandas, MLFLOW: mlflow}


def measured(folder: Path, name: str, model: str) -> dict[str, float]:
    """Rows/s and peak memory of one run, in a process of its own; the imports are not counted. What it wrote is taken away."""
    command = [sys.executable, "-m", "benchmarks.batch", "--one", name, "--models", model, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"})
    if done.returncode:
        raise RuntimeError(done.stderr)
    for made in ("ours", ".ours.salver", "bare", "store/log"):
        shutil.rmtree(folder / made, ignore_errors=True)
    return json.loads(done.stdout.splitlines()[-1])


def one(folder: Path, name: str, model: str) -> None:
    import onnxruntime
    import pyarrow.parquet

    assert onnxruntime, pyarrow.parquet
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    rows = RUNS[name](folder, model)
    seconds, cpu_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
    (peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    peak_bytes = int(peak.split()[1]) * 1024  # not ru_maxrss, which begins with what the parent had
    print(json.dumps({"rows": rows, "rows_per_s": rows / seconds, "cpu_us": cpu_s / rows * 1e6, "peak_bytes": peak_bytes}))


def lines(model: str, found: dict[str, list[dict[str, float]]]) -> list[str]:
    """The table's lines of a model: medians of rates, the highest of peaks."""
    medians = {name: sorted(runs, key=lambda run: run["rows_per_s"])[len(runs) // 2] for name, runs in found.items()}
    first = medians[SALVER]["rows_per_s"]
    return [
        f"| {MODELS[model]} | {name} | {run['rows']:,} | {run['rows_per_s']:,.0f} | {first / run['rows_per_s']:.2f} "
        f"| {run['cpu_us']:.2f} µs | {max(run['peak_bytes'] for run in found[name]) / 2**20:,.0f} MB |"
        for name, run in medians.items()
    ]


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=10_000_000)
    options.add_argument("--rounds", type=int, default=ROUNDS)
    options.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    options.add_argument("--only", nargs="+", choices=list(RUNS), default=list(RUNS))
    options.add_argument("--write", action="store_true")
    options.add_argument("--one")
    options.add_argument("--folder", type=Path)
    given = options.parse_args()
    if given.one:
        one(given.folder, given.one, given.models[0])
        return
    made = ["| model | | rows | rows/s | Salver ÷ this | CPU a row | peak memory |", "|---|---|--:|--:|--:|--:|--:|"]
    with tempfile.TemporaryDirectory(prefix="salver-batch-") as scratch:
        folder = given.folder or Path(scratch)
        if not (folder / "in").is_dir():
            folder.mkdir(exist_ok=True)
            make(folder, given.rows)
        for model in given.models:
            found: dict[str, list[dict[str, float]]] = {name: [] for name in given.only}
            for _ in range(given.rounds):
                for name in given.only:
                    found[name].append(measured(folder, name, model))
                    print(model, name, found[name][-1], flush=True)
            made += lines(model, found)
    print("\n".join(made))
    if given.write:
        fill(PAGE, "batch", "\n".join(made) + "\n")


if __name__ == "__main__":
    main()
