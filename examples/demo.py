"""`make demo`: train iris, serve it, ask it, show what was logged. Everything it makes is in .demo/."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent / ".demo"
ROW = {"features": [5.1, 3.5, 1.4, 0.2]}
PATIENCE_S = 120.0


def main(keep: bool) -> None:
    FOLDER.mkdir(exist_ok=True)
    say("Train a model and save it (examples/train_iris.py)")
    subprocess.run([sys.executable, HERE / "train_iris.py"], cwd=FOLDER, check=True)
    port = free_port()
    say(f"salver serve iris_model.pkl --port {port}")
    server = subprocess.Popen(
        [sys.executable, "-m", "salver", "serve", "iris_model.pkl", "--port", str(port), "--store", "store"],
        cwd=FOLDER,
        start_new_session=keep,  # so that Ctrl-C in this terminal does not reach a server that is to stay
    )
    try:
        show(server, f"http://localhost:{port}")
    except BaseException:
        stop(server)
        raise
    if keep:
        say(f"The server goes on as process {server.pid}; stop it with: kill {server.pid}")
    elif stop(server):
        raise SystemExit(f"the server ended with exit code {server.returncode}")
    else:
        say(f"The server is stopped. To leave it running: make demo KEEP=1. What was made is in {FOLDER}")


def show(server: subprocess.Popen[bytes], url: str) -> None:
    """Ask the server, and show the answer and its line in the log."""
    wait_until_ready(server, url)
    say(f"curl -d '{json.dumps(ROW)}' {url}/predict")
    print(ask(f"{url}/predict", ROW))
    log = FOLDER / "store" / "log"
    newest = max(log.glob("*.jsonl"), key=lambda segment: segment.stat().st_mtime)
    say(f"tail -n 1 {newest.relative_to(FOLDER.parent)}")
    print(newest.read_text().splitlines()[-1])
    say("Where to look next")
    print(f"  {url}/docs      every route, to try out\n  {url}/metrics   counts and times, for Prometheus\n  {log}   the log")


def wait_until_ready(server: subprocess.Popen[bytes], url: str) -> None:
    """Return once the model has been loaded and proven; exit when the server does not get there."""
    deadline = time.monotonic() + PATIENCE_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            ask(f"{url}/health/ready")
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise SystemExit("the server did not get ready; what it said stands above")


def ask(url: str, body: object = None) -> str:
    """The answer to a GET, or to a POST of `body`."""
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def free_port() -> int:
    """8080 if nobody has it, else one that the system picks."""
    for port in (8080, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise SystemExit("no free port on this machine")


def stop(server: subprocess.Popen[bytes]) -> int:
    """End the server as a person would, with SIGTERM, and give its exit code."""
    server.terminate()
    return server.wait(timeout=40)


def say(what: str) -> None:
    print(f"\n── {what}", flush=True)


if __name__ == "__main__":
    main(keep="--keep" in sys.argv[1:])
