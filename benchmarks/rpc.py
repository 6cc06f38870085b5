"""gRPC beside a bare echo: requests a second of ModelInfer with one row, and of a grpc.aio server that gives the message back.

Salver on core 0 with its log on, and the echo there too; `h2load` on core 1. They take turns for several rounds and the medians
are shown, once for each number of connections and of streams that each of them has in flight.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import httpx
import numpy as np
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from benchmarks.process import cpu_s, free_port, running

SHAPES = ((1, 1), (4, 1), (16, 1), (4, 8))
"""Connections, and streams of each that are in flight at a time."""

_PATH = "/inference.GRPCInferenceService/ModelInfer"
_WARM_UP_S = 1


class Turn(NamedTuple):
    """What one turn of one server came to."""

    per_s: float
    cpu_us: float  # of the server, for a request


def request(model: str) -> bytes:
    """A ModelInferRequest of one row, raw, as it goes over the wire."""
    from salver.server.rpc.messages import message

    row = load_iris().data[:1].astype("<f4")
    tensor = {"name": "X", "datatype": "FP32", "shape": row.shape}
    asked = message("ModelInferRequest")(model_name=model, inputs=[tensor], raw_input_contents=[row.tobytes()])
    content: bytes = asked.SerializeToString()
    return b"\0" + len(content).to_bytes(4, "big") + content


@contextmanager
def salver(folder: Path) -> Iterator[tuple[int, int]]:
    """Its process and gRPC port."""
    import joblib

    iris, port, grpc_port = load_iris(), free_port(), free_port()
    joblib.dump(LogisticRegression(max_iter=1000).fit(iris.data, iris.target), folder / "iris.pkl")
    command = [Path(sys.executable).parent / "salver", "serve", folder / "iris.pkl", "--store", folder / "store"]
    command += ["--port", str(port), "--grpc-port", str(grpc_port)]
    with running(command, port, folder / "salver.txt") as server:
        while server.process.poll() is None and not _is_ready(port):
            pass
        yield server.process.pid, grpc_port


@contextmanager
def echo(folder: Path) -> Iterator[tuple[int, int]]:
    """Its process and port."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.rpc", "--echo", str(port)]
    with running(command, port, folder / "echo.txt") as server:
        while server.process.poll() is None and "up" not in (folder / "echo.txt").read_text():
            pass
        yield server.process.pid, port


async def serve_echo(port: int) -> None:
    """A grpc.aio server that gives back what it gets, and never looks at it."""
    import grpc

    async def same(content: bytes, context: Any) -> bytes:
        return content

    service, _, method = _PATH[1:].partition("/")
    handlers = {method: grpc.unary_unary_rpc_method_handler(same)}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    print("up", flush=True)
    await server.wait_for_termination()


def turn(process: int, port: int, body: Path, connections: int, streams: int, seconds: int) -> Turn:
    """Ask for some seconds. Raises RuntimeError where an answer is none."""
    command = ["taskset", "-c", "1", "h2load", f"-c{connections}", f"-m{streams}", "-d", str(body)]
    command += ["-H", "content-type: application/grpc", "-H", "te: trailers", f"http://127.0.0.1:{port}{_PATH}"]
    subprocess.run([*command, f"-D{_WARM_UP_S}"], capture_output=True, check=True)
    before = cpu_s(process)
    said = subprocess.run([*command, f"-D{seconds}"], capture_output=True, text=True, check=True).stdout
    used_s = cpu_s(process) - before
    done = re.search(r"(\d+) succeeded, (\d+) failed", said)
    if done is None or int(done[2]) or not int(done[1]) or " 0B (0) data" in said:
        raise RuntimeError(f"not all calls were answered:\n{said}")
    return Turn(int(done[1]) / seconds, used_s / int(done[1]) * 1e6)


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def measure(rounds: int, seconds: int) -> None:
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        folder = Path(scratch)
        servers = {"Salver": stack.enter_context(salver(folder)), "echo": stack.enter_context(echo(folder))}
        (folder / "body").write_bytes(request("iris"))
        print(
            "| connections × streams | Salver, requests/s | CPU µs | bare echo, requests/s | CPU µs | ratio | in each round |"
        )
        print("|---|--:|--:|--:|--:|--:|---|")
        for connections, streams in SHAPES:
            turns: dict[str, list[Turn]] = {name: [] for name in servers}
            for _ in range(rounds):
                for name, (process, port) in servers.items():
                    turns[name].append(turn(process, port, folder / "body", connections, streams, seconds))
            _print(f"{connections} × {streams}", turns["Salver"], turns["echo"])


def _print(shape: str, ours: list[Turn], bare: list[Turn]) -> None:
    each = [one.per_s / other.per_s for one, other in zip(ours, bare, strict=True)]
    figures = [
        f"{median(one.per_s for one in turns):,.0f} | {median(one.cpu_us for one in turns):.0f}" for turns in (ours, bare)
    ]
    print(
        f"| {shape} | {' | '.join(figures)} | {np.median(each):.2f} | {', '.join(f'{one:.2f}' for one in each)} |", flush=True
    )


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--rounds", type=int, default=5)
    given.add_argument("--seconds", type=int, default=3)
    given.add_argument("--echo", type=int, metavar="PORT", help=argparse.SUPPRESS)
    parsed = given.parse_args()
    if parsed.echo:
        asyncio.run(serve_echo(parsed.echo))
    else:
        measure(parsed.rounds, parsed.seconds)


if __name__ == "__main__":
    main()
