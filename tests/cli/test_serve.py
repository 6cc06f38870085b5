"""`salver serve` of what is in the registry, and of files beside it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from salver.registry.registry import Registry
from tests.registry.artifacts import WIDTH, linear_artifact
from tests.registry.s3 import BUCKET, s3_server
from tests.serving import SALVER, serving

ROW = [0.5] * WIDTH


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three versions of iris, the second of which is the champion and the third the challenger; one of boston."""
    registry = Registry(tmp_path / "store")
    for seed in (1, 2, 3):
        registry.publish(linear_artifact(tmp_path / f"made{seed}", seed=seed))
    registry.publish(linear_artifact(tmp_path / "boston", "boston", "identity"))
    registry.promote("iris@2")
    registry.promote("iris@3", "challenger")
    return tmp_path / "store"


def asked(url: str, path: str) -> dict[str, Any]:
    return httpx.post(f"{url}{path}", json={"features": ROW}).json()


def test_versions_and_aliases_answer_with_the_registrys_number(store: Path) -> None:
    with serving(["iris@champion", "iris@3"], store=store) as served:
        versions = {
            which: asked(served.url, f"/models/{which}/predict")["version"]
            for which in ("iris", "iris@champion", "iris@challenger", "iris@2", "iris@3")
        }
        assert versions == {"iris": 2, "iris@champion": 2, "iris@challenger": 3, "iris@2": 2, "iris@3": 3}
        assert asked(served.url, "/predict")["version"] == 2
        assert asked(served.url, "/models/iris@1/predict")["code"] == "unknown_version"
        assert "iris@2" in served.output.read_text()


def test_without_an_argument_every_model_is_served(store: Path) -> None:
    with serving([], store=store) as served:
        assert asked(served.url, "/models/iris/predict")["version"] == 2
        assert asked(served.url, "/models/boston/predict")["version"] == 1


def test_a_version_that_is_not_the_default_is_served_alone(store: Path) -> None:
    with serving(["iris@1"], store=store) as served:
        assert asked(served.url, "/predict")["version"] == 1


def test_a_folder_beside_a_model_of_the_registry(store: Path, tmp_path: Path) -> None:
    folder = linear_artifact(tmp_path / "other", "other")
    with serving([folder, "iris"], store=store) as served:
        assert asked(served.url, "/models/other/predict")["version"] == 1
        assert asked(served.url, "/models/iris/predict")["version"] == 2


def test_a_folder_is_served_under_the_models_own_name_or_the_one_given(store: Path) -> None:
    versions = store / "models" / "iris" / "versions"
    with serving([versions / "2", f"other={versions / '3'}"]) as served:
        assert asked(served.url, "/models/iris/predict")["model"] == "iris"
        assert asked(served.url, "/models/other/predict")["model"] == "other"


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("none", "no model file at none, and no model of that name"),
        ("iris@9", "model 'iris' has no version 9"),
        ("iris@nobody", "no alias 'nobody'"),
        ("a/b.pkl", "no model file at a/b.pkl"),
    ],
)
def test_what_is_not_there_is_said_at_once(store: Path, argument: str, said: str) -> None:
    done = subprocess.run([SALVER, "serve", argument, "--store", str(store)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert said in done.stderr


def test_an_empty_store_has_nothing_to_serve(tmp_path: Path) -> None:
    done = subprocess.run([SALVER, "serve", "--store", str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "there are no models" in done.stderr


def test_from_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server(tmp_path) as environment:
        for name, value in {**environment, "XDG_DATA_HOME": str(tmp_path / "data")}.items():
            monkeypatch.setenv(name, value)
        Registry(f"s3://{BUCKET}/prod").publish(linear_artifact(tmp_path / "made"))
        # The server of a test has a folder as its store; the last --store counts.
        with serving(["iris@champion"], arguments=["--store", f"s3://{BUCKET}/prod", "--no-log"]) as served:
            assert asked(served.url, "/models/iris@champion/predict")["version"] == 1
        assert list((tmp_path / "data" / "salver" / "cache" / "versions").glob("*/iris/salver.json"))
