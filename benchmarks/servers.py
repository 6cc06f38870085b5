"""The servers that are measured: the floor, Salver, and the two ways most people serve a model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

PEERS = Path(__file__).resolve().parent / "peers"
BIN = Path(sys.executable).parent


class Case(NamedTuple):
    """A model file with one request and the right answer to it."""

    name: str
    title: str
    file: Path
    body: str
    prediction: object


class Server(NamedTuple):
    """How a server is started (command, environment), what is sent to it: headers beside the body, or another body."""

    command: list[str | Path]
    environment: dict[str, str]
    headers: Mapping[str, str] = {}
    path: str = "/predict"
    body: str = ""


def cases(folder: Path, names: list[str]) -> list[Case]:
    """The cases that `benchmarks.models` wrote into `folder`."""
    read = [json.loads((folder / f"{name}.json").read_text()) for name in names]
    return [Case(file=folder / f"{one['name']}.pkl", **one) for one in read]


def nginx(case: Case, port: int, work: Path) -> Server:
    """A constant reply: nobody answers HTTP for much less."""
    config = work / "nginx.conf"
    reply = json.dumps({"prediction": case.prediction}, separators=(",", ":"))
    config.write_text(
        f"daemon off; worker_processes 1; pid {work}/nginx.pid; error_log stderr;\n"
        "events { worker_connections 1024; }\n"
        "http { access_log off; keepalive_requests 100000000; client_body_temp_path body; proxy_temp_path proxy;\n"
        "  fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n"
        f"  server {{ listen 127.0.0.1:{port}; location / {{ default_type application/json; return 200 '{reply}'; }} }} }}\n"
    )
    return Server(["nginx", "-p", work, "-c", config], {})


def salver(case: Case, port: int, work: Path) -> Server:
    """Ours, as `salver serve` starts it, every prediction logged."""
    return Server([BIN / "salver", "serve", case.file, "--port", str(port), "--store", work / "store"], {})


def v2(case: Case, port: int, work: Path) -> Server:
    """Ours, asked by the Open Inference Protocol in JSON: the numbers of the case's row as a matrix of one row."""
    row = json.loads(case.body)["features"]
    tensor = {"name": "X", "shape": [1, len(row)], "datatype": "FP64", "data": row}
    path = f"/v2/models/{case.file.stem}/infer"
    return Server(salver(case, port, work).command, {}, path=path, body=json.dumps({"inputs": [tensor]}))


def unlogged(case: Case, port: int, work: Path) -> Server:
    """Ours without the log: what logging costs."""
    return Server([*salver(case, port, work).command, "--no-log"], {})


def synced(case: Case, port: int, work: Path) -> Server:
    """Ours with every batch brought to the disk before it is answered."""
    settings = work / "store" / "log" / "log.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text('sync = "always"\n')
    return salver(case, port, work)


def keyed(case: Case, port: int, work: Path) -> Server:
    """Ours with an API key for this model."""
    return _keyed(case, port, work, "--model", case.file.stem)


def counted(case: Case, port: int, work: Path) -> Server:
    """Ours with an API key whose requests are counted, and never too many."""
    return _keyed(case, port, work, "--rate", "1000000")


def _keyed(case: Case, port: int, work: Path, *limits: str) -> Server:
    shown = work / f"{case.name}.key"
    if not shown.exists():
        add = [BIN / "salver", "key", "add", case.name, *limits, "--store", work / "store"]
        shown.write_text(subprocess.run(add, capture_output=True, text=True, check=True).stdout.strip())
    return Server(salver(case, port, work).command, {}, {"Authorization": f"Bearer {shown.read_text()}"})


def flask(case: Case, port: int, work: Path) -> Server:
    command: list[str | Path] = [BIN / "gunicorn", "--workers", "1", "--bind", f"127.0.0.1:{port}", "flask_app:app"]
    return Server(command, {"MODEL": str(case.file), "PYTHONPATH": str(PEERS)})


def fastapi(case: Case, port: int, work: Path) -> Server:
    command: list[str | Path] = [BIN / "uvicorn", "fastapi_app:app", "--port", str(port), "--no-access-log"]
    return Server(command, {"MODEL": str(case.file), "PYTHONPATH": str(PEERS)})


SERVERS: dict[str, tuple[str, Callable[[Case, int, Path], Server]]] = {
    "salver": ("Salver", salver),
    "nginx": ("nginx, constant reply", nginx),
    "fastapi": ("FastAPI + `model.predict`", fastapi),
    "flask": ("Flask + gunicorn + `model.predict`", flask),
    "v2": ("Salver, V2 in JSON", v2),
    "unlogged": ("Salver, no log", unlogged),
    "keyed": ("Salver, with an API key", keyed),
    "counted": ("Salver, with an API key that has a rate", counted),
    "synced": ('Salver, `sync = "always"`', synced),
}
BESIDE = ("salver", "nginx", "fastapi", "flask")
"""Those that the tables of the README show."""
