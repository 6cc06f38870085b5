"""The monitor that `salver serve` starts: a process of its own, whose death costs nothing, and that is there again soon."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import psutil

from tests.models import iris_file
from tests.serving import Served, serving

PATIENCE_S = 60.0


def monitors(server: Served) -> list[psutil.Process]:
    """The monitors below a server that look at the log by now."""
    found: list[psutil.Process] = []
    for child in psutil.Process(server.process.pid).children(recursive=True):
        try:
            if "monitor" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
        except psutil.NoSuchProcess:
            pass
    return found


def the_monitor(server: Served) -> psutil.Process:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := monitors(server)):
        assert time.monotonic() < deadline, server.output.read_text()
        time.sleep(0.05)
    assert len(found) == 1
    return found[0]


def test_a_monitor_that_is_killed_costs_nothing_and_is_started_again(tmp_path: Path) -> None:
    with serving([iris_file(tmp_path)]) as server, httpx.Client(base_url=server.url, timeout=30) as client:

        def ask() -> float:
            begun_s = time.monotonic()
            assert client.post("/predict", json={"features": [5.1, 3.5, 1.4, 0.2]}).status_code == 200
            return time.monotonic() - begun_s

        first = the_monitor(server)
        ask()
        first.kill()
        deadline, took_s = time.monotonic() + PATIENCE_S, [ask()]
        while not (found := [one for one in monitors(server) if one.pid != first.pid]):
            assert time.monotonic() < deadline, server.output.read_text()
            took_s.append(ask())
        took_s += [ask() for _ in range(200)]  # while the new one begins
        assert max(took_s) < 1, "no request waits until it is there again, which takes 2 s"
        assert "the monitor ended: exit code -9; it is started again in 2 s" in server.output.read_text()
        assert len(found) == 1 and client.get("/health/ready").status_code == 200
    assert psutil.wait_procs(found, timeout=PATIENCE_S)[1] == [], "it ends with its server"


def test_a_server_that_is_asked_for_none_has_no_monitor(tmp_path: Path) -> None:
    with serving([iris_file(tmp_path)], arguments=["--no-monitor"]) as server:
        assert httpx.post(f"{server.url}/predict", json={"features": [5.1, 3.5, 1.4, 0.2]}, timeout=30).status_code == 200
        assert monitors(server) == []


def test_monitors_end_with_servers_that_are_killed(tmp_path: Path) -> None:
    """The one that looks at the log, and one that waits for its turn."""
    file, store = iris_file(tmp_path), tmp_path / "store"
    with serving([file], store=store) as looking, serving([file], store=store) as waiting:
        found = [the_monitor(looking), the_monitor(waiting)]
        looking.process.kill()
        waiting.process.kill()
        assert psutil.wait_procs(found, timeout=PATIENCE_S)[1] == []
