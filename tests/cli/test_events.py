"""What a server says of itself, as lines of JSON."""

from __future__ import annotations

import json
import logging
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from salver.cli.events import JsonLines
from tests.registry.artifacts import linear_artifact
from tests.serving import SALVER, serving


def lines(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.read_text().splitlines()]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_tells_its_life_in_json_and_nothing_else(tmp_path: Path, workers: int) -> None:
    model = linear_artifact(tmp_path / "made")
    arguments = ["--log-format", "json", "--workers", str(workers), "--no-monitor"]
    with serving([model], arguments=arguments, store=tmp_path / "store") as served:
        if workers > 1:
            _wait_for(served.output, "ready")
            max(psutil.Process(served.process.pid).children(), key=lambda worker: worker.pid).kill()
            _wait_for(served.output, "worker_ended")
        _wait_for(served.output, "ready")
        served.process.terminate()
        assert served.process.wait(60) == 0
    said = lines(served.output)
    assert all({"time", "level", "logger", "message"} <= set(line) for line in said)
    events = [line["event"] for line in said if "event" in line]
    assert events == ["start", "listening", "ready", *(["worker_ended"] if workers > 1 else []), "stop"]
    by_event = {line["event"]: line for line in said if "event" in line}
    assert by_event["listening"]["port"] == int(served.url.rpartition(":")[2])
    assert len(by_event["ready"]["models"]) == 1
    assert by_event["stop"]["exit_code"] == 0


def test_a_server_that_can_not_serve_says_so_in_json(tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_text("[events]\nformat = 'json'\n")
    done = subprocess.run([SALVER, "serve", "--store", str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert not done.stdout
    start, _, failed = (json.loads(line) for line in done.stderr.splitlines())
    assert start["event"] == "start"
    assert (failed["event"], failed["level"]) == ("failed", "critical")
    assert "there are no models" in failed["message"]


def test_a_traceback_is_a_field() -> None:
    try:
        raise ValueError("a\nb")
    except ValueError as error:
        about = (type(error), error, error.__traceback__)
    record = logging.LogRecord("salver", logging.ERROR, __file__, 1, "%s failed", ("it",), about)
    line = JsonLines().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == "it failed"
    assert "ValueError" in json.loads(line)["traceback"]


def _wait_for(output: Path, event: str) -> None:
    end_s = time.monotonic() + 30
    while f'"event": "{event}"' not in output.read_text():
        assert time.monotonic() < end_s, output.read_text()
        time.sleep(0.05)
