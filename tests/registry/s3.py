"""A server that speaks S3, for tests: moto's, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.serving import free_port

BUCKET = "models"


@contextmanager
def s3_server(folder: Path) -> Iterator[dict[str, str]]:
    """A running server with an empty bucket; gives the variables of the environment by which it is reached."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (folder / "s3.txt").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-p", str(port)], stdout=output, stderr=output, cwd=folder
        )
    try:
        _wait(url, process)
        assert httpx.put(f"{url}/{BUCKET}").status_code == 200
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
        }
    finally:
        process.kill()
        process.wait()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(url)
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError("the S3 server did not start")
