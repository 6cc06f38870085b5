"""The examples of saving, as their readers meet them: saved where the training libraries are, served where they are not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import onnxruntime
import pytest

from salver.artifact.artifact import open_artifact
from salver.types.rows import RowChecker
from tests.serving import serving

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples" / "save").glob("with_*.py"))
TRAINING = {"sklearn", "pandas", "scipy", "xgboost", "lightgbm", "catboost", "torch", "mlflow", "onnx", "polars", "pyarrow"}


class Places(NamedTuple):
    """The interpreter of an installation that only serves, and what all commands find in their environment."""

    python: Path
    variables: dict[str, str]

    @property
    def salver(self) -> Path:
        return self.python.parent / "salver"

    @property
    def store(self) -> Path:
        return Path(self.variables["SALVER_STORE"])


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    """Salver as `pip install salver[environments]` installs it, and nothing of training."""
    folder = tmp_path_factory.mktemp("serving")
    uv = [sys.executable, "-m", "uv"]
    python = folder / "venv" / "bin" / "python"
    _run([*uv, "venv", "--quiet", "--python", sys.executable, folder / "venv"])
    _run([*uv, "pip", "install", "--quiet", "--python", python, f"{ROOT}[environments]"])
    code = f"from importlib.util import find_spec; print([name for name in {sorted(TRAINING)} if find_spec(name)])"
    assert _run([python, "-c", code]).strip() == "[]"
    return Places(
        python,
        {
            "SALVER_STORE": str(folder / "store"),
            "SALVER_TRUSTED": str(folder / "trusted.txt"),
            "SALVER_ENVIRONMENTS": str(folder / "environments"),
        },
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_saved_here_served_there(example: Path, places: Places, tmp_path: Path) -> None:
    said = json.loads(_run([sys.executable, example], tmp_path, places).splitlines()[-1])
    rows, expected = said["rows"], said["predictions"]
    name = _saved(example, places)
    _run([places.salver, "promote", f"{name}@1", "--alias", "live", "--why", "it is an example"], tmp_path, places)

    code = f"import salver, json; print(json.dumps(salver.load('{name}@live').predict(json.loads({json.dumps(rows)!r}))))"
    _assert_same(json.loads(_run([places.python, "-c", code], tmp_path, places).splitlines()[-1]), expected)

    environment = {key: value for key, value in places.variables.items() if key != "SALVER_STORE"}
    with serving([f"{name}@live"], store=places.store, environment=environment, salver=places.salver) as served:
        answer = httpx.post(f"{served.url}/models/{name}@live/predict", json={"instances": rows}, timeout=60)
        assert answer.status_code == 200, answer.text
        _assert_same(answer.json()["predictions"], expected)
        assert answer.json()["version"] == 1

    _run([places.salver, "export", f"{name}@live", tmp_path / "copy"], tmp_path, places)
    artifact = open_artifact(tmp_path / "copy")
    if artifact.manifest.runtime.kind != "native":
        graph = tmp_path / "graph.onnx"
        _run([Path(sys.executable).parent / "salver", "export", f"{name}@live", graph, "--to", "onnx"], tmp_path, places)
        _assert_graph_agrees(graph, artifact, rows, expected)


def _saved(example: Path, places: Places) -> str:
    """The name under which an example saved its model."""
    suffix = example.stem.removeprefix("with_").partition("_")[0]
    (name,) = (folder.name for folder in (places.store / "models").iterdir() if folder.name.endswith(f"-{suffix}"))
    return name


def _assert_graph_agrees(graph: Path, artifact: Any, rows: list[Any], expected: list[Any]) -> None:
    signature, checker = artifact.manifest.signature, RowChecker(artifact.manifest.signature)
    session = onnxruntime.InferenceSession(graph)
    (taken,) = session.get_inputs()
    matrix = checker.matrix([checker.check(row) for row in rows])
    inputs = {taken.name: matrix.astype(np.float32) if taken.type == "tensor(float)" else matrix}
    output = signature.prediction
    answers = session.run([output.name], inputs)[0]
    _assert_same([output.classes[place] for place in answers] if output.classes else answers.tolist(), expected)


def _assert_same(got: list[Any], expected: list[Any]) -> None:
    if isinstance(np.array(expected).ravel()[0], np.floating):
        np.testing.assert_allclose(got, expected, rtol=1e-5)
    else:
        assert got == expected


def _run(command: list[Any], folder: Path | None = None, places: Places | None = None) -> str:
    variables = places.variables if places else {}
    done = subprocess.run(
        [*map(str, command)], cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
