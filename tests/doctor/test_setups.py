"""`salver doctor` on real setups: what is wrong with each is found, and a sound one is left in peace."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from salver.cli.main import main
from salver.door.key import new_key
from salver.door.keys import Keys
from salver.registry.registry import Registry
from tests.echo import echo_folder
from tests.serving import SALVER


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with a model and a key."""
    made = tmp_path / "store"
    registry = Registry(made)
    registry.publish(echo_folder(tmp_path / "echo"))
    Keys(registry.store).add(new_key("shop", ("predict",))[0])
    (made / "log").mkdir(mode=0o750)
    return made


Doctor = Callable[..., tuple[int, dict[str, str]]]


@pytest.fixture
def doctor(store: Path, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Runs it on the store: gives the exit code, and what was found, by code."""

    def run(*arguments: str) -> tuple[int, dict[str, str]]:
        code = main(["doctor", "--store", str(store), "--json", *arguments])
        said: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert said["ok"] == (code == 0), said
        return code, {finding["code"]: finding["what"] for finding in said["findings"]}

    return run


def test_a_sound_setup_and_a_public_one(doctor: Doctor, store: Path) -> None:
    code, found = doctor()
    assert code == 0 and not found.keys() - {"unsigned", "disk_filling", "few_files", "log_outgrows_disk"}, found
    code, found = doctor("--host", "0.0.0.0")
    assert code == 0 and "public_without_tls" in found
    code, found = doctor("--host", "0.0.0.0", "--insecure-no-keys", "--pickle", "trusted", "--set", 'cors.origins=["*"]')
    assert code == 1 and {"public_without_keys", "pickle_trusted", "any_origin"} <= found.keys()
    said = subprocess.run([SALVER, "doctor", "--store", store], capture_output=True, text=True)
    assert said.returncode == 0 and "mend: salver sign echo@1" in said.stdout


def test_keys_that_ended(doctor: Doctor, store: Path) -> None:
    keys, soon = Keys(Registry(store).store), datetime.now(UTC) + timedelta(days=2)
    keys.remove("shop", by="test")
    assert "no_key_holds" in doctor()[1]
    keys.add(new_key("short", ("predict",), expires=soon.isoformat())[0])
    assert "'short'" in doctor()[1]["key_ends"]


def test_rights_and_what_can_not_be_written(doctor: Doctor, store: Path) -> None:
    (store / "keys").chmod(0o777)
    (store / "log").chmod(0o755)
    _, found = doctor()
    assert str(store / "keys") in found["writable_by_others"]
    assert str(store / "log") in found["readable_by_others"]
    (store / "audit").write_text("a file where a folder should be")
    if os.geteuid():  # root may write anywhere
        (store / "log").chmod(0o550)
        assert "not_writable" in doctor()[1]


def test_settings_that_make_no_sense(doctor: Doctor, store: Path) -> None:
    (store / "server.toml").write_text("[limits]\nrow = 1\n")
    code, found = doctor()
    assert code == 1 and "server.toml" in found["unreadable"]
    (store / "server.toml").unlink()
    (store / "log" / "log.toml").write_text("keep_bytes = 'much'\n")
    assert "unreadable" in doctor()[1]
    (store / "log" / "log.toml").write_text("keep_bytes = '900 TB'\n")
    assert "log_outgrows_disk" in doctor()[1]


def test_versions_that_can_not_be_served(doctor: Doctor, store: Path, tmp_path: Path) -> None:
    registry = Registry(store)
    version = store / "models" / "echo" / "versions" / "1"
    assert doctor("--public-key", str(_public_key(tmp_path)), "--require-signature")[1]["version_refused"]
    (version / "echo.json").write_text("{}")  # not what its digest says
    code, found = doctor()
    assert code == 1 and "echo@1" in found["version_fails"]
    registry.publish(echo_folder(tmp_path / "wrong" / "other", fail_above=0.5))  # it raises on its golden rows
    assert "other@1" in doctor()[1]["version_fails"]


def _public_key(folder: Path) -> Path:
    make = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "private.pem"]
    subprocess.run(make, cwd=folder, check=True, capture_output=True)
    show = ["openssl", "ec", "-in", "private.pem", "-pubout", "-out", "public.pem"]
    subprocess.run(show, cwd=folder, check=True, capture_output=True)
    return folder / "public.pem"


def test_how_long_a_certificate_holds(doctor: Doctor, store: Path, tmp_path: Path) -> None:
    new = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=a",
        "-keyout",
        "a.key",
    ]
    again = ["x509", "-in", "long.pem", "-signkey", "a.key"]
    for command in (
        [*new, "-out", "long.pem", "-days", "400"],
        [*again, "-out", "short.pem", "-days", "5"],
        [*again, "-out", "over.pem", "-days", "-1"],
    ):
        subprocess.run(["openssl", *command], cwd=tmp_path, check=True, capture_output=True)
    for name, code in (("long", None), ("short", "certificate_ends"), ("over", "certificate_over")):
        _, found = doctor("--tls-cert", str(tmp_path / f"{name}.pem"), "--tls-key", str(tmp_path / "a.key"))
        assert {"certificate_ends", "certificate_over"} & found.keys() == ({code} if code else set())


def test_what_was_left_behind(doctor: Doctor, store: Path) -> None:
    left = store / "models" / "echo" / ".tmp-0123"
    left.write_text("")
    assert "left_over" not in doctor()[1]  # somebody may be writing it
    os.utime(left, (0, 0))
    assert str(left) in doctor()[1]["left_over"]
    claim = {"by": "a", "at": "2026-01-01T00:00:00Z", "why": "", "digest": "", "token": ""}
    (store / "models" / "echo" / "claims" / "2.json").write_text(json.dumps(claim))
    assert doctor()[1]["unfinished"].endswith("echo@2")
