"""The image, the compose file and the unit agree with the command line, and what they run works. None of them is started."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import time
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from salver.cli.main import parser
from tests.models import iris_file
from tests.serving import SALVER, free_port

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
UNIT = (ROOT / "deploy" / "systemd" / "salver.service").read_text()
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]


def mounts(service: str) -> dict[str, str]:
    """Where in the container each folder of the repository, or volume, is."""
    pairs = [volume.split(":")[:2] for volume in SERVICES[service]["volumes"]]
    return {inside: outside for outside, inside in pairs}


def outside(service: str, path: str) -> Path:
    """The file of the repository that is at a path in the container."""
    found = next(inside for inside in mounts(service) if path == inside or path.startswith(f"{inside}/"))
    return ROOT / mounts(service)[found] / path[len(found) :].lstrip("/")


def listed(instruction: str) -> list[str]:
    found = re.search(rf"^{instruction} (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert found
    return json.loads(found[1])


def test_what_is_copied_is_there_and_let_through() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [name for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.MULTILINE) for name in line.split()[:-1]]
    assert {"pyproject.toml", "src"} <= set(copied)
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in ignored


def test_the_image_installs_extras_that_there_are() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = re.search(r'"/src\[([^]]*)\]"', DOCKERFILE)
    assert found
    assert set(found[1].split(",")) <= set(project["optional-dependencies"])


@pytest.mark.parametrize("command", [listed("CMD"), SERVICES["salver"]["command"]], ids=["image", "compose"])
def test_a_container_listens_for_others_and_asks_for_keys(command: list[str]) -> None:
    assert listed("ENTRYPOINT") == ["salver"]
    given = parser().parse_args(command)
    assert (given.host, given.port, given.insecure_no_keys) == ("0.0.0.0", 8080, False)


def test_everything_is_published_on_this_machine_only() -> None:
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_the_parts_find_each_other() -> None:
    for service in SERVICES:
        for source in mounts(service).values():
            assert not source.startswith(".") or (ROOT / source).exists(), source
    config = next(one for one in SERVICES["prometheus"]["command"] if one.startswith("--config.file=")).partition("=")[2]
    asked = outside("prometheus", config)
    scraping = yaml.safe_load(asked.read_text())
    assert all((asked.parent / rules).is_file() for rules in scraping["rule_files"])
    (job,) = scraping["scrape_configs"]
    assert job["job_name"] == "salver"  # as the alert rules call it
    assert job["static_configs"] == [{"targets": ["salver:8080"]}]
    (source,) = yaml.safe_load(outside("grafana", "/etc/grafana/provisioning/datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    provided = outside("grafana", "/etc/grafana/provisioning/dashboards/salver.yaml").read_text()
    (provider,) = yaml.safe_load(provided)["providers"]
    assert outside("grafana", f"{provider['options']['path']}/salver.json").is_file()
    assert mounts("salver") == {"/var/lib/salver": "store"}


def test_the_unit_starts_the_server_and_tells_when_it_is_ready() -> None:
    settings = dict(line.split("=", 1) for line in UNIT.splitlines() if re.match(r"[A-Z]\w+=", line))
    program, *arguments = shlex.split(settings["ExecStart"])
    assert Path(program).name == "salver"
    assert parser().parse_args(arguments).host == "127.0.0.1"
    assert settings["Type"] == "notify"
    assert "XDG_DATA_HOME=/var/lib" in settings["Environment"].split()
    assert settings["StateDirectory"] == "salver"


def test_the_container_does_what_the_page_says(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path)}
    for name in ("SALVER_STORE", "SALVER_TRUSTED", "SALVER_ENVIRONMENTS"):
        environment.pop(name, None)
    port = free_port()
    command = [SALVER, *SERVICES["salver"]["command"], "--port", str(port)]

    def salver(*arguments: str) -> str:
        return subprocess.run([SALVER, *arguments], env=environment, check=True, capture_output=True, text=True).stdout

    salver("save", str(iris_file(tmp_path)))
    refused = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    assert "has no API keys" in refused.stderr
    key = salver("key", "add", "webshop").strip()
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as server:
        try:
            _until_ready(url, server)
            asked = {"features": [5.1, 3.5, 1.4, 0.2]}
            assert httpx.post(f"{url}/predict", json=asked).status_code == 401
            assert httpx.post(f"{url}/predict", json=asked, headers={"authorization": f"Bearer {key}"}).status_code == 200
            assert "salver_model_ready" in httpx.get(f"{url}/metrics").text
        finally:
            server.terminate()
        assert server.wait(60) == 0
    assert (tmp_path / "salver" / "log").is_dir()


def _until_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + 120
    while time.monotonic() < end_s and server.poll() is None:
        try:
            if httpx.get(f"{url}/health/ready").status_code == 200:
                return
        except httpx.ConnectError:
            pass
        time.sleep(0.1)
    raise AssertionError("the server did not become ready")
