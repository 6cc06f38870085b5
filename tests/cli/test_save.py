"""`salver save`, and what a saved model says of the rows that it is sent."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from salver.config import TRUSTED_VARIABLE
from tests.matrix.models import people
from tests.models import churn_file
from tests.serving import SALVER, serving


@pytest.fixture(autouse=True)
def own_list_of_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRUSTED_VARIABLE, str(tmp_path / "trusted.txt"))


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SALVER, "save", *map(str, arguments)], capture_output=True, text=True, timeout=120)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A model and held-out rows with their labels."""
    X, _ = people(60, 3)
    rows = X[["age", "spend", "plan"]].assign(left=np.where(X["age"] > 50, "yes", "no"))
    rows["plan"] = rows["plan"].replace("team", "pro")
    rows.to_parquet(tmp_path / "rows.parquet")
    return churn_file(tmp_path), tmp_path / "rows.parquet"


def test_it_reports_and_says_it_to_programs_too(files: tuple[Path, Path], tmp_path: Path) -> None:
    model, rows = files
    done = run(model, "--sample", rows, "--labels", "left", "--store", tmp_path / "store", "--tag", "team=growth")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("churn@1 saved in ")
    assert done.stderr == ""  # progress is for terminals
    done = run(
        model, "--name", "other", "--store", tmp_path / "store", "--json", "--metadata", "run=7", "--description", "text"
    )
    said: dict[str, Any] = json.loads(done.stdout)
    assert (said["name"], said["version"]) == ("other", 1)
    assert said["manifest"]["metadata"] == {"run": "7"}
    assert said["manifest"]["description"] == "text"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sample", "nowhere.csv"], "no table at nowhere.csv"),
        (["--tag", "growth"], "--tag takes NAME=VALUE"),
        (["--policy", "age=error"], "--policy takes COLUMN:KIND=POLICY"),
        (["--policy", "other:missing=error"], "a column that the model does not have"),
        (["--name", "a b"], "a model is named by letters"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(
    files: tuple[Path, Path], tmp_path: Path, arguments: list[str], said: str
) -> None:
    sample = [] if "--sample" in arguments else ["--sample", files[1]]
    done = run(files[0], "--store", tmp_path / "store", *sample, *arguments)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr


def test_what_was_unusual_about_a_row_is_in_the_log(files: tuple[Path, Path], tmp_path: Path) -> None:
    store = tmp_path / "store"
    done = run(files[0], "--sample", files[1], "--store", store, "--policy", "age:out_of_range=error", "--on-unknown", "null")
    assert done.returncode == 0, done.stderr
    with serving(["churn"], store=store) as served:
        plain = {"age": 50, "spend": 80.5, "plan": "pro"}
        rows = [
            plain,
            {**plain, "spend": 1e6},
            {**plain, "plan": "gold", "more": 1},
            {"age": None, "spend": None, "plan": "pro"},
        ]
        answer = httpx.post(f"{served.url}/predict", json={"instances": rows})
        assert answer.status_code == 200, answer.text
        infer = {
            "inputs": [
                {"name": "age", "shape": [2], "datatype": "FP64", "data": [50, 50]},
                {"name": "spend", "shape": [2], "datatype": "FP64", "data": [1e6, 80]},
                {"name": "plan", "shape": [2], "datatype": "BYTES", "data": ["pro", "gold"]},
            ]
        }
        assert httpx.post(f"{served.url}/v2/models/churn/infer", json=infer).status_code == 200
        refused = httpx.post(f"{served.url}/predict", json={"features": {**plain, "age": 400}})
        assert (refused.status_code, refused.json()["code"]) == (422, "out_of_range")
    lines = [json.loads(line) for file in (store / "log").rglob("*.jsonl") for line in file.read_text().splitlines()]
    assert [line.get("flags") for line in lines] == [
        None,
        {"spend": "out_of_range"},
        {"plan": "unseen"},
        {"spend": "missing"},
        {"spend": "out_of_range"},
        {"plan": "unseen"},
    ]
