"""`server.toml`: what makes no sense is refused, and every setting is documented and does something."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import salver
from salver.errors import ConfigError
from salver.server.settings import FILE, Settings, read_settings
from salver.settings import Setting, described, size_bytes

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"
SOURCE = Path(salver.__file__).parent
SETTINGS = list(described(Settings))


def documented(setting: Setting) -> str:
    """The setting's line in the docs."""
    return f"| `{setting.name}` | `{_shown(setting.name, setting.default)}` | {setting.help} |"


def _shown(name: str, value: Any) -> str:
    if name.endswith("_bytes"):
        for unit in ("MiB", "KiB", "MB"):
            if not value % size_bytes(f"1 {unit}"):
                return f'"{value // size_bytes(f"1 {unit}")} {unit}"'
    return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_documented_as_it_is(setting: Setting) -> None:
    assert setting.help
    assert documented(setting) in PAGE.read_text().splitlines()


def test_nothing_else_is_documented() -> None:
    named = re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", PAGE.read_text(), re.MULTILINE)
    assert named == [setting.name for setting in SETTINGS]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_read_somewhere(setting: Setting) -> None:
    name = setting.name.rpartition(".")[2]
    assert any(re.search(rf"\.{name}\b", file.read_text()) for file in SOURCE.rglob("*.py"))


@pytest.mark.parametrize(
    "text",
    [
        "[limits]\nrows = 0",
        "[limits]\nrow = 5",
        "[limits]\nbody_bytes = 'much'",
        "[limit]\nrows = 5",
        "[access]\nkeys = 'sometimes'",
        "[tls]\ncert = 'a.pem'",
        "[tls]\nclient_ca = 'a.pem'",
        "[cors]\norigins = ['app.example']",
        "[cors]\norigins = 'https://app.example'",
        "rows = ",
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ConfigError):
        read_settings(tmp_path)


@pytest.mark.parametrize("change", ["limits.rows=0", "limits.row=5", "limits.rows", "=5", "limits=5", "limits.rows.more=5"])
def test_a_change_that_makes_no_sense_is_refused(tmp_path: Path, change: str) -> None:
    with pytest.raises(ConfigError):
        read_settings(tmp_path, [change])


def test_the_command_line_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("[limits]\nrows = 5\nbody_bytes = '1 MB'\n")
    changes = ["limits.rows=7", "limits.decompressed_bytes=2 MiB", 'cors.origins=["https://a.example"]', "access.docs=open"]
    made = read_settings(tmp_path, changes)
    assert (made.limits.rows, made.limits.body_bytes, made.limits.decompressed_bytes) == (7, 10**6, 2 * 2**20)
    assert (made.limits.columns, made.cors.origins, made.access.docs) == (65_536, ["https://a.example"], "open")


@pytest.mark.parametrize(("text", "size"), [("5", 5), (5, 5), ("1.5 kB", 1500), ("2GB", 2 * 10**9), ("1 KiB", 1024)])
def test_sizes(text: str | int, size: int) -> None:
    assert size_bytes(text) == size
