"""`salver key`, and which addresses are served without one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import httpx
import pytest

from salver.server.entrance import is_loopback
from tests.echo import echo_folder
from tests.serving import SALVER, serving


def salver(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SALVER, *map(str, arguments)], capture_output=True, text=True)


def test_a_key_from_its_making_to_its_end(tmp_path: Path) -> None:
    store = ["--store", tmp_path]
    made = salver("key", "add", "shop", "--scope", "predict", "--scope", "label", "--model", "echo", "--rate", "9", *store)
    shown = made.stdout.strip()
    assert made.returncode == 0 and shown.startswith("salver_") and "once" in made.stderr
    assert salver("key", "add", "shop", *store).returncode == 1
    (kept,) = json.loads(salver("key", "list", "--json", *store).stdout)
    assert (kept["name"], kept["scopes"], kept["models"], kept["requests_per_s"]) == ("shop", ["predict", "label"], ["echo"], 9)
    assert "digest" not in kept and kept["id"] in shown
    table = salver("key", "list", *store).stdout
    assert "shop" in table and "9/s" in table and shown.rpartition("_")[2] not in table
    with serving([echo_folder(tmp_path / "echo")], store=tmp_path, arguments=["--no-log"]) as served:
        ask = {"url": f"{served.url}/predict", "json": {"features": [1]}}
        assert httpx.post(**ask).status_code == 401
        assert httpx.post(**ask, headers={"x-api-key": shown}).json()["prediction"] == 1
    assert salver("key", "remove", "shop", "--why", "done", *store).returncode == 0
    assert salver("key", "remove", "shop", *store).returncode == 1
    assert salver("key", "list", *store).stdout.startswith("no keys")
    (gone,) = json.loads(salver("key", "list", "--all", "--json", *store).stdout)
    assert gone["revoked"]["why"] == "done"
    events = [json.loads(line)["event"] for line in (tmp_path / "audit" / "audit.jsonl").read_text().splitlines()]
    assert events[0] == "key added" and events[-1] == "key removed" and "refused" in events


@pytest.mark.parametrize("wrong", [["a b"], ["a", "--model", "no/such"], ["a", "--scope", "all"]])
def test_a_key_that_makes_no_sense_is_not_made(tmp_path: Path, wrong: list[str]) -> None:
    assert salver("key", "add", *wrong, "--store", tmp_path).returncode != 0
    assert not (tmp_path / "keys").exists()


def test_an_address_that_others_reach_wants_keys_or_to_be_told_twice(tmp_path: Path) -> None:
    model, store = echo_folder(tmp_path / "echo"), tmp_path / "store"
    for host in ("0.0.0.0", "::", ""):
        refused = salver("serve", model, "--store", store, "--host", host)
        assert refused.returncode == 1 and "salver key add" in refused.stderr, refused
    for arguments in (["--insecure-no-keys"], []):
        if not arguments:
            salver("key", "add", "a", "--store", store)
        with serving([model], store=store, arguments=["--host", "0.0.0.0", "--no-log", *arguments]) as served:
            asked = httpx.post(f"{served.url}/predict", json={"features": [1]})
            assert asked.status_code == (200 if arguments else 401)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        *((host, True) for host in ("127.0.0.1", "127.8.0.1", "::1", "localhost")),
        *((host, False) for host in ("0.0.0.0", "::", "", "10.0.0.1", "example.org", "localhost.example.org", "127.0.0.1.a")),
    ],
)
def test_what_only_this_machine_reaches(host: str, here: bool) -> None:
    assert is_loopback(host) is here
