"""Models of two scikit-learns that can't read each other's files, saved where each is installed, answer behind one port."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
import pytest

from salver.frameworks.requirements import Lock, this_python
from salver.runtimes.environment import environment
from tests.serving import Served, serving

pytestmark = pytest.mark.alone

SOURCE = Path(__file__).resolve().parents[2] / "src"
OLD = {"scikit-learn": "1.5.2", "numpy": "1.26.4"}
NEW = {"scikit-learn": version("scikit-learn"), "numpy": version("numpy")}
TRAIN = """
import sys
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingClassifier
import salver

X, y = load_iris(return_X_y=True)
model = GradientBoostingClassifier(n_estimators=10, random_state=0).fit(X, y)
saved = salver.save(model, sys.argv[1], store=sys.argv[2])
assert saved.manifest.runtime.kind == "native", saved.report
"""
ROW = [5.1, 3.5, 1.4, 0.2]


class Two(NamedTuple):
    """A server of `old` and `new`, and what its processes find in their environment."""

    served: Served
    variables: Mapping[str, str]


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("user")
    return {"SALVER_ENVIRONMENTS": str(folder / "environments"), "SALVER_TRUSTED": str(folder / "trusted.txt")}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str]) -> Path:
    """Each model is saved in an environment with its own scikit-learn, and without onnx, so that it is served natively."""
    store = tmp_path_factory.mktemp("store")
    for name, packages in (("old", OLD), ("new", NEW)):
        here = {
            **packages,
            "msgspec": version("msgspec"),
            "onnxruntime": version("onnxruntime"),
            "packaging": version("packaging"),
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SALVER_ENVIRONMENTS", variables["SALVER_ENVIRONMENTS"])
            python = environment(Lock(this_python(), here))
        train(python, name, store, variables)
    return store


def train(python: Path, name: str, store: Path, variables: Mapping[str, str]) -> None:
    done = subprocess.run(
        [str(python), "-c", TRAIN, name, str(store)],
        env={**os.environ, **variables, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def two(store: Path, variables: dict[str, str]) -> Iterator[Two]:
    with serving(["old", "new"], store=store, environment=variables) as served:
        yield Two(served, variables)


def hosts(served: Served) -> list[psutil.Process]:
    """The processes of models, those in an environment made for them first."""
    children = psutil.Process(served.process.pid).children()
    return [child for mark in ("lent.py", "salver.frameworks.host") for child in children if mark in command(child)]


def command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # it ended in this moment
        return ""


def test_both_answer_and_each_in_its_own_environment(two: Two) -> None:
    for name in ("old", "new"):
        answer = httpx.post(f"{two.served.url}/models/{name}/predict", json={"instances": [ROW] * 3})
        assert answer.status_code == 200, answer.text
        assert answer.json()["predictions"] == [0, 0, 0]
    old, new = hosts(two.served)
    assert old.cmdline()[0].startswith(two.variables["SALVER_ENVIRONMENTS"])
    assert not new.cmdline()[0].startswith(two.variables["SALVER_ENVIRONMENTS"])
    assert installed(old.cmdline()[0], "scikit-learn") == OLD["scikit-learn"]
    assert installed(old.cmdline()[0], "numpy") == OLD["numpy"]


def installed(python: str, name: str) -> str:
    code = f"from importlib.metadata import version; print(version({name!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_neither_could_read_the_others_file(two: Two, store: Path) -> None:
    for name, other in zip(("old", "new"), reversed(hosts(two.served)), strict=True):
        (file,) = [path for path in (store / "models" / name / "versions" / "1" / "model").iterdir() if path.is_file()]
        code = "import sys, joblib; joblib.load(sys.argv[1])"
        done = subprocess.run([other.cmdline()[0], "-c", code, str(file)], capture_output=True, text=True)
        assert done.returncode and "Error" in done.stderr


def test_killing_one_under_load_costs_only_what_it_was_answering(two: Two) -> None:
    async def load() -> dict[str, Counter[str]]:
        told: dict[str, Counter[str]] = {"old": Counter(), "new": Counter()}
        until = time.monotonic() + 60
        back = asyncio.Event()
        async with httpx.AsyncClient(timeout=60) as client:
            clients = [
                asyncio.create_task(ask(client, name, told[name], back, until)) for name in ("old", "new") for _ in range(4)
            ]
            await asyncio.sleep(0.5)
            victim = hosts(two.served)[0]
            before = told["old"]["200"]
            victim.kill()
            while told["old"]["200"] < before + 50 and time.monotonic() < until:
                await asyncio.sleep(0.05)
            back.set()
            await asyncio.gather(*clients)
        assert victim.pid not in [host.pid for host in hosts(two.served)]
        assert told["old"]["200"] >= before + 50
        return told

    async def ask(client: httpx.AsyncClient, name: str, told: Counter[str], back: asyncio.Event, until: float) -> None:
        while not back.is_set() and time.monotonic() < until:
            answer = await client.post(f"{two.served.url}/models/{name}/predict", json={"features": ROW})
            told[answer.json().get("code", str(answer.status_code))] += 1
            if answer.status_code == 503:
                assert int(answer.headers["retry-after"]) >= 1

    told = asyncio.run(load())
    assert set(told["new"]) == {"200"}
    assert set(told["old"]) <= {"200", "model_crashed"}
    assert told["old"]["model_crashed"] <= 4  # as many as there were clients


def test_it_is_back_though_nobody_asks(two: Two) -> None:
    victim = hosts(two.served)[0]
    victim.kill()
    deadline = time.monotonic() + 60
    while len(hosts(two.served)) < 2 or hosts(two.served)[0].pid == victim.pid:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_what_was_made_once_needs_neither_uv_nor_a_network(two: Two, store: Path) -> None:
    nowhere = {**two.variables, "UV_OFFLINE": "1", "UV_CACHE_DIR": "/nowhere", "UV_INDEX_URL": "http://127.0.0.1:1"}
    with serving(["old"], store=store, environment=nowhere) as served:
        assert httpx.post(f"{served.url}/predict", json={"features": ROW}).json()["prediction"] == 0


def test_another_user_does_not_run_it_unless_told(two: Two, store: Path, tmp_path: Path) -> None:
    stranger = {**two.variables, "SALVER_TRUSTED": str(tmp_path / "nothing")}
    with serving(["old"], store=store, environment=stranger, wait=False) as served:
        assert served.process.wait(60) == 1
        assert "not trusted here" in served.output.read_text()
    with serving(["old"], store=store, environment=stranger, arguments=["--pickle", "trusted"]) as served:
        assert httpx.post(f"{served.url}/predict", json={"features": ROW}).status_code == 200
    with serving(["old"], store=store, environment=two.variables, arguments=["--pickle", "never"], wait=False) as served:
        assert served.process.wait(60) == 1
        assert "'never'" in served.output.read_text()
