"""The registry's commands, as they are typed."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from salver.cli import models, routes, versions
from salver.cli.main import main
from salver.registry.registry import Registry
from tests.registry.artifacts import linear_artifact


class Shell:
    """Runs `salver … --store STORE` and gives what it printed."""

    def __init__(self, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.store = store
        self._capsys = capsys
        self.complained = ""

    def __call__(self, line: str, code: int = 0) -> str:
        assert main([*line.split(), "--store", str(self.store)]) == code
        said, self.complained = self._capsys.readouterr()
        return said

    def json(self, line: str) -> Any:
        return json.loads(self(f"{line} --json"))


@pytest.fixture
def salver(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    shell = Shell(tmp_path / "store", capsys)
    for seed in (1, 2):
        shell(f"publish {linear_artifact(tmp_path / f'made{seed}', seed=seed)} --by ann --why seed{seed}")
    return shell


def test_publish_says_what_became_of_it(salver: Shell, tmp_path: Path) -> None:
    assert "salver promote iris@3" in salver(f"publish {linear_artifact(tmp_path / 'made3')}")
    assert salver.json(f"publish {linear_artifact(tmp_path / 'b', 'boston')}") == {
        "name": "boston",
        "version": 1,
        "aliases": ["champion"],
    }


def test_models(salver: Shell) -> None:
    assert salver.json("models")["models"][0] | {"created": "", "size_bytes": 0} == {
        "name": "iris",
        "default": 1,
        "versions": [1, 2],
        "aliases": {"champion": 1},
        "framework": "scikit-learn 1.7.2",
        "size_bytes": 0,
        "created": "",
    }
    heading, row = salver("models").splitlines()
    assert heading.split()[0] == "MODEL"
    assert row.split()[:4] == ["iris", "1", "2", "champion=1"]


def test_an_empty_store_says_so(salver: Shell, tmp_path: Path) -> None:
    salver.store = tmp_path / "empty"
    assert "no models in" in salver("models")
    assert salver.json("models") == {"models": []}
    assert salver("show iris", code=1) == ""
    assert "there is no model 'iris'" in salver.complained


def test_show(salver: Shell) -> None:
    salver("tag iris@2 team=risk ticket=17")
    shown = salver.json("show iris@2")
    assert (shown["version"], shown["tags"], shown["published_by"]) == (2, {"team": "risk", "ticket": "17"}, "ann")
    assert shown["manifest"]["framework"]["name"] == "scikit-learn"
    text = salver("show iris")
    assert "iris@1" in text and "champion" in text and "LogisticRegression" in text and "x3" in text


def test_canary_and_shadow(salver: Shell) -> None:
    said = salver("canary iris@2 --percent 5 --sticky header:x-user-id --by ann --why carefully")
    assert said == "iris@2 answers 5 % of what iris is asked, by header:x-user-id\n"
    assert "is asked what iris is asked" in salver("shadow iris@2")
    shown = salver.json("show iris")
    assert shown["canaries"] == [{"to": "2", "percent": 5.0, "sticky": "header:x-user-id"}]
    assert shown["shadows"] == ["2"]
    history = salver("history iris")
    assert "canary 2 5 %" in history and "carefully" in history
    salver("canary iris@2", code=1)
    assert "--percent 5" in salver.complained
    salver("canary iris@2 --end")
    salver("shadow iris --end")
    assert salver.json("show iris")["canaries"] == salver.json("show iris")["shadows"] == []
    salver("canary iris --end", code=1)


def test_promote_demote_rollback_and_history(salver: Shell) -> None:
    assert salver("promote iris@2 --by bob --why better") == "iris@champion is version 2\n"
    assert salver("promote iris@1 --alias old") == "iris@old is version 1\n"
    assert salver("demote iris@old") == "iris@old is gone\n"
    assert salver("rollback iris --why complaints") == "iris@champion is version 1 again\n"
    told = salver.json("history iris")["history"]
    assert [(route["by"], route["why"]) for route in told][:2] == [("ann", "seed1"), ("bob", "better")]
    last = salver("history iris").splitlines()[-1]
    assert "champion 2 → 1" in last and "complaints" in last
    assert salver.json("promote iris@2")["route"]["aliases"] == {"champion": 2}


def test_diff_by_number_and_by_alias(salver: Shell) -> None:
    changes = {change["what"] for change in salver.json("diff iris 1 2")["changes"]}
    assert {"digest", "files.linear.npz"} <= changes
    assert "files.linear.npz" in salver("diff iris champion 2")
    assert salver("diff iris 1 champion") == "they are the same\n"


def test_delete_refuses_what_is_used(salver: Shell) -> None:
    assert salver("delete iris@1", code=1) == ""
    assert "'champion'" in salver.complained
    assert salver("delete iris@2") == "iris@2 is deleted\n"
    assert salver.json("models")["models"][0]["versions"] == [1]


def test_verify_fails_when_something_is_wrong(salver: Shell) -> None:
    assert salver("verify").count("as published") == 2
    (salver.store / "models" / "iris" / "versions" / "2" / "linear.npz").write_bytes(b"x")
    assert "linear.npz" in salver("verify iris", code=1)
    assert salver.json("verify iris@1") == {"versions": [{"name": "iris", "version": 1, "problem": ""}], "unfinished": {}}


def test_verify_removes_what_was_left_behind(salver: Shell) -> None:
    store = Registry(str(salver.store)).store
    store.create("models/iris/claims/3.json", store.read("models/iris/claims/2.json", 10_000) or b"")
    store.create("models/iris/versions/3/linear.npz", b"half")
    assert "never finished: 3; `salver verify --clean`" in salver("verify --older-than 0")
    assert "never finished: 3; removed" in salver("verify --clean --older-than 0")
    assert "finished" not in salver("verify --older-than 0")


def test_export(salver: Shell, tmp_path: Path) -> None:
    assert salver(f"export iris@2 {tmp_path}/out") == f"{tmp_path}/out\n"
    assert salver.json(f"export iris {tmp_path}/iris.onnx --to onnx")["version"] == 1
    assert (tmp_path / "out" / "salver.json").is_file() and (tmp_path / "iris.onnx").is_file()
    assert salver(f"export iris {tmp_path}/out", code=1) == ""


@pytest.mark.parametrize("line", ["promote iris", "tag iris@1 nonsense", "history iris@1", "demote iris", "show no/name"])
def test_what_makes_no_sense_is_refused(salver: Shell, line: str) -> None:
    assert salver(line, code=1) == ""
    assert salver.complained.startswith("salver: ")


def test_every_command_is_documented() -> None:
    commands = argparse.ArgumentParser().add_subparsers()
    for module in (models, routes, versions):
        module.add(commands)
    page = (Path(__file__).parents[2] / "docs" / "registry.md").read_text()
    assert [name for name in commands.choices if f"| `salver {name}" not in page] == []
