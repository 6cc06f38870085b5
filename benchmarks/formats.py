"""The same batch as JSON, as tensors in bytes and as an Arrow stream: what each costs the server, with the log and without.

One server on core 0, one client on core 1. The formats take turns for several rounds and the medians are shown.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

import httpx
import joblib
import numpy as np
import pyarrow as pa
from sklearn.linear_model import LogisticRegression

from benchmarks.process import cpu_s, free_port, running

ROWS, COLUMNS = 1000, 100
MEDIA = "application/vnd.apache.arrow.stream"

Request = tuple[str, bytes, dict[str, str]]


def model_file(folder: Path) -> Path:
    draw = np.random.default_rng(0)
    X = draw.normal(size=(2000, COLUMNS)).astype(np.float32)
    file = folder / "wide.pkl"
    joblib.dump(LogisticRegression().fit(X, X[:, 0] > 0), file)
    return file


def requests() -> dict[str, Request]:
    X = np.random.default_rng(1).normal(size=(ROWS, COLUMNS)).astype(np.float32)
    tensor = {"name": "X", "shape": [ROWS, COLUMNS], "datatype": "FP32"}
    head = json.dumps(
        {"inputs": [tensor | {"parameters": {"binary_data_size": X.nbytes}}], "parameters": {"binary_data_output": True}}
    )
    table = pa.table({f"x{i}": X[:, i] for i in range(COLUMNS)})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    length = {"inference-header-content-length": str(len(head))}
    return {
        "JSON": ("/models/wide/predict", json.dumps({"instances": X.tolist()}).encode(), {}),
        "V2, bytes": ("/v2/models/wide/infer", head.encode() + X.tobytes(), length),
        "Arrow": ("/models/wide/predict", sink.getvalue(), {"content-type": MEDIA, "accept": MEDIA}),
    }


def cpu_ms(ask: Callable[[], object], process: int, times: int) -> float:
    """Of the server, for one request."""
    ask()
    before = cpu_s(process)
    for _ in range(times):
        ask()
    return (cpu_s(process) - before) / times * 1000


def measure(logged: bool, rounds: int, times: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as scratch:
        folder, port = Path(scratch), free_port()
        command = [
            Path(sys.executable).parent / "salver",
            "serve",
            model_file(folder),
            "--port",
            str(port),
            "--store",
            folder / "store",
        ]
        command += [] if logged else ["--no-log"]
        with (
            running(command, port, folder / "out.txt") as server,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
        ):
            while not _is_ready(client):
                pass
            found: dict[str, list[float]] = {}
            for _ in range(rounds):
                for name, (path, body, headers) in requests().items():

                    def ask(path: str = path, body: bytes = body, headers: dict[str, str] = headers) -> None:
                        client.post(path, content=body, headers=headers).raise_for_status()

                    found.setdefault(name, []).append(cpu_ms(ask, server.process.pid, times))
    return {name: median(values) for name, values in found.items()}


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--rounds", type=int, default=5)
    given.add_argument("--times", type=int, default=20)
    parsed = given.parse_args()
    print(f"| {ROWS} × {COLUMNS}, CPU ms a request | " + " | ".join(requests()) + " |")
    for logged in (True, False):
        found = measure(logged, parsed.rounds, parsed.times)
        cells = " | ".join(f"{value:.2f} ({value / found['JSON']:.2f})" for value in found.values())
        print(f"| {'with' if logged else 'without'} the log | {cells} |")


if __name__ == "__main__":
    main()
