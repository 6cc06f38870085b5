"""A real server for tests: `salver serve` in a process of its own, on a free port, gone when the test is over."""

from __future__ import annotations

import os
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

SALVER = str(Path(sysconfig.get_path("scripts")) / "salver")


class Served(NamedTuple):
    """A running server. `output` is the file with what it printed, standard error included; `grpc` is its gRPC address."""

    url: str
    process: subprocess.Popen[bytes]
    store: Path
    output: Path
    grpc: str = ""


@contextmanager
def serving(
    models: Sequence[str | Path],
    *,
    store: Path | None = None,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    wait: bool = True,
    ready_s: float = 120.0,
    salver: str | Path = SALVER,
    grpc_port: int | None = None,
) -> Iterator[Served]:
    """`salver serve MODELS --store STORE ARGUMENTS`, ready to answer (with `wait=False`, merely started).

    Without a `store`, one that is removed afterwards. A server that the test has not stopped itself gets SIGTERM.
    """
    with ExitStack() as stack:
        if store is None:
            store = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="salver-store-")))
        port = free_port()
        output = store / f"serve-{port}.txt"
        command = [salver, "serve", *map(str, models), "--port", str(port), "--store", str(store)]
        command += [] if grpc_port is None else ["--grpc-port", str(grpc_port)]
        store.mkdir(parents=True, exist_ok=True)
        with output.open("wb") as file:
            process = subprocess.Popen(
                [*command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
            )
        stack.callback(_stop, process)
        served = Served(f"http://127.0.0.1:{port}", process, store, output, f"127.0.0.1:{grpc_port}" if grpc_port else "")
        if wait:
            wait_until_ready(served, ready_s)
        yield served


def wait_until_ready(served: Served, ready_s: float = 120.0) -> None:
    """Return when /health/ready says so. Raises RuntimeError, with what the server printed, when it ends or takes too long."""
    deadline = time.monotonic() + ready_s
    with httpx.Client(timeout=10) as client:
        while served.process.poll() is None and time.monotonic() < deadline:
            try:
                if client.get(f"{served.url}/health/ready").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
    raise RuntimeError(f"the server is not ready (exit code {served.process.poll()}):\n{served.output.read_text()}")


def free_port() -> int:
    """A TCP port on which nothing listens right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
