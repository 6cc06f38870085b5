"""Batch, beside a bare loop of the same libraries, a pandas script and MLflow: `python -m benchmarks.batch`.

All in one run on the same cores and the same files: rows of 20 numbers, a RandomForest of 100 trees; each a process of its own.
The peers are asked for fewer rows, since their rate does not depend on how many there are.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.tables import fill

COLUMNS = 20
FILE_ROWS = 1_000_000
GROUP_ROWS = 100_000
PEER_ROWS = 200_000
CHUNK_ROWS = 65_536
ROUNDS = 3
PAGE = Path(__file__).resolve().parents[1] / "docs" / "measured.md"

SALVER = "Salver, `salver batch`"
BARE = "bare loop: pyarrow read, onnxruntime run, pyarrow write"
PANDAS = "pandas + joblib script"
MLFLOW = "MLflow, `mlflow.pyfunc` predict"


def make(folder: Path, rows: int) -> None:
    """The model, published in a store, as a joblib file and for MLflow; and the table, a file a million rows."""
    import joblib
    import mlflow.sklearn
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq
    from sklearn.ensemble import RandomForestClassifier

    import salver

    draw = np.random.default_rng(0)
    names = [f"f{i}" for i in range(COLUMNS)]

    def sample(count: int) -> tuple[np.ndarray, np.ndarray]:
        which = draw.integers(0, 3, count)
        return draw.normal(size=(count, COLUMNS)) + which[:, None] * 0.7, which

    X, y = sample(3000)
    frame = pd.DataFrame(X, columns=names)
    model = RandomForestClassifier(100, max_depth=6, random_state=0).fit(frame, y)
    salver.save(model, "forest", sample=frame, store=folder / "store")
    joblib.dump(model, folder / "forest.joblib")
    mlflow.sklearn.save_model(model, folder / "mlflow", serialization_format="cloudpickle")
    for name, count in (("in", rows), ("peers", PEER_ROWS)):
        (folder / name).mkdir()
        for number, start in enumerate(range(0, count, FILE_ROWS)):
            made, _ = sample(min(FILE_ROWS, count - start))
            table = pa.table({column: made[:, i] for i, column in enumerate(names)})
            pq.write_table(table, folder / name / f"{number:05}.parquet", row_group_size=GROUP_ROWS)


def bare(folder: Path) -> int:
    """What anybody would write with these libraries: read, run, write; ONNX Runtime on all cores."""
    import onnxruntime as ort
    import pyarrow as pa
    import pyarrow.parquet as pq

    graph = next((folder / "store" / "models" / "forest" / "versions" / "1").glob("*.onnx"))
    session = ort.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    dtype = np.float32 if given.type == "tensor(float)" else np.float64
    names = [output.name for output in session.get_outputs()]
    (folder / "bare").mkdir()
    rows = 0
    for path in sorted((folder / "in").iterdir()):
        writer = None
        for batch in pq.ParquetFile(path).iter_batches(CHUNK_ROWS):
            X = np.column_stack([column.to_numpy() for column in batch.columns]).astype(dtype)
            answers = dict(zip(names, session.run(names, {given.name: X}), strict=True))
            columns = {name: batch.column(name) for name in batch.schema.names}
            columns["prediction"] = pa.array(answers["prediction"])
            columns |= {f"probability_{k}": pa.array(np.ascontiguousarray(answers["probabilities"][:, k])) for k in range(3)}
            table = pa.table(columns)
            writer = writer or pq.ParquetWriter(folder / "bare" / path.name, table.schema)
            writer.write_table(table)
            rows += len(table)
        if writer:
            writer.close()
    return rows


def ours(folder: Path) -> int:
    import salver

    return salver.batch("forest", folder / "in", folder / "ours", store=folder / "store").rows


def pandas(folder: Path) -> int:
    import joblib
    import pandas as pd

    model = joblib.load(folder / "forest.joblib")
    frame = pd.read_parquet(folder / "peers")
    probabilities = model.predict_proba(frame)
    answers = frame.assign(prediction=model.predict(frame), **{f"probability_{k}": probabilities[:, k] for k in range(3)})
    answers.to_parquet(folder / "pandas.parquet")
    return len(frame)


def mlflow(folder: Path) -> int:
    import mlflow.pyfunc
    import pandas as pd

    model = mlflow.pyfunc.load_model(str(folder / "mlflow"))
    frame = pd.read_parquet(folder / "peers")
    frame.assign(prediction=model.predict(frame)).to_parquet(folder / "mlflow.parquet")
    return len(frame)


RUNS = {SALVER: ours, BARE: bare, PANDAS: pandas, MLFLOW: mlflow}


def measured(folder: Path, name: str) -> dict[str, float]:
    """Rows/s and peak memory of one run, in a process of its own; the imports are not counted."""
    for made in ("ours", "bare"):
        subprocess.run(["rm", "-rf", folder / made, folder / f".{made}.salver"], check=True)
    command = [sys.executable, "-m", "benchmarks.batch", "--one", name, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"})
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def one(folder: Path, name: str) -> None:
    import onnxruntime
    import pyarrow.parquet

    assert onnxruntime, pyarrow.parquet
    started_s = time.perf_counter()
    rows = RUNS[name](folder)
    seconds = time.perf_counter() - started_s
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"rows": rows, "rows_per_s": rows / seconds, "peak_bytes": peak_bytes}))


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=10_000_000)
    options.add_argument("--rounds", type=int, default=ROUNDS)
    options.add_argument("--write", action="store_true")
    options.add_argument("--one")
    options.add_argument("--folder", type=Path)
    given = options.parse_args()
    if given.one:
        one(given.folder, given.one)
        return
    with tempfile.TemporaryDirectory(prefix="salver-batch-") as scratch:
        folder = given.folder or Path(scratch)
        if not (folder / "in").is_dir():
            folder.mkdir(exist_ok=True)
            make(folder, given.rows)
        found: dict[str, list[dict[str, float]]] = {name: [] for name in RUNS}
        for _ in range(given.rounds):
            for name in RUNS:
                found[name].append(measured(folder, name))
                print(name, found[name][-1], flush=True)
    medians = {
        name: sorted(runs, key=lambda run: run["rows_per_s"])[len(runs) // 2]
        | {"peak_bytes": max(run["peak_bytes"] for run in runs)}
        for name, runs in found.items()
    }
    first = medians[SALVER]["rows_per_s"]
    lines = ["| | rows | rows/s | Salver ÷ this | peak memory |", "|---|--:|--:|--:|--:|"]
    lines += [
        f"| {name} | {run['rows']:,} | {run['rows_per_s']:,.0f} | {first / run['rows_per_s']:.2f} "
        f"| {run['peak_bytes'] / 2**20:,.0f} MB |"
        for name, run in medians.items()
    ]
    print("\n".join(lines))
    if given.write:
        fill(PAGE, "batch", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
