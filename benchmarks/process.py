"""A server under measurement: started on one core, its whole tree of processes counted and stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE_S = 120.0

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": ""}
"""One thread each, and modules compiled once, as those of an installed package are."""


class Running(NamedTuple):
    """A started server: its process and where it answers."""

    process: subprocess.Popen[bytes]
    url: str
    started: float  # time.perf_counter


@contextmanager
def running(
    command: Sequence[str | Path],
    port: int,
    log: Path,
    environment: Mapping[str, str] | None = None,
    core: int | None = 0,
    path: str = "/predict",
) -> Iterator[Running]:
    """The server that `command` starts, pinned to `core`; all of its processes are gone afterwards."""
    pin = [] if core is None else ["taskset", "-c", str(core)]
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            [*pin, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **ENVIRONMENT, **(environment or {})},
        )
    try:
        yield Running(process, f"http://127.0.0.1:{port}{path}", started)
    finally:
        _stop(process)


def first_answer(server: Running, body: bytes, every_s: float = 0.05, headers: Mapping[str, str] | None = None) -> object:
    """The prediction in the first answer that is one, asked until there is. Raises RuntimeError when there is none."""
    while server.process.poll() is None and time.perf_counter() - server.started < _PATIENCE_S:
        try:
            return ask(server.url, body, headers)
        except (OSError, ValueError):  # not listening yet, or not ready
            time.sleep(every_s)
    raise RuntimeError("no answer")


def ask(url: str, body: bytes, headers: Mapping[str, str] | None = None) -> object:
    """The `prediction` that a server answers."""
    request = urllib.request.Request(url, body, {"content-type": "application/json", **(headers or {})})
    with urllib.request.urlopen(request, timeout=10) as answer:
        made = json.load(answer)
        if "outputs" in made:  # of V2
            return made["outputs"][0]["data"][0]
        return made["prediction" if "prediction" in made else "predictions"]


def tree(root: int) -> list[int]:
    """The process and all below it."""
    children: dict[int, list[int]] = {}
    for pid, fields in _every_stat():
        children.setdefault(int(fields[1]), []).append(pid)
    found = [root]
    for pid in found:  # grows while it is walked
        found += children.get(pid, [])
    return found


def cpu_s(root: int) -> float:
    """User and system time that the process and all below it have used."""
    wanted = set(tree(root))
    ticks = sum(int(fields[11]) + int(fields[12]) for pid, fields in _every_stat() if pid in wanted)
    return ticks / _TICKS


def resident_mb(root: int) -> float:
    """Memory that the process and all below it hold, in MB."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in tree(root))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def libraries(root: int) -> set[str]:
    """The files that the process and all below it have mapped."""
    maps = [Path(f"/proc/{pid}/maps").read_text() for pid in tree(root)]
    return {line.split(maxsplit=5)[5] for text in maps for line in text.splitlines() if "/" in line}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _every_stat() -> Iterator[tuple[int, list[str]]]:
    """Each process's id with the fields of its stat file that follow its name."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text()
            except OSError:  # it has ended meanwhile
                continue
            yield int(folder.name), text[text.rindex(")") + 2 :].split()


def _stop(process: subprocess.Popen[bytes]) -> None:
    below = tree(process.pid)[1:]
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    process.kill()
    for pid in below:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
