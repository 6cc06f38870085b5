"""The graph alone: what it answers is what the version answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from salver.artifact.artifact import open_artifact
from salver.errors import ConfigError
from salver.lower.publish import publish
from salver.registry.export import export_artifact
from salver.runtimes.base import load
from tests.registry.artifacts import SCORES, WIDTH, linear_artifact

CASES = [*((link, count) for link, count in SCORES.items()), ("identity", 2), ("scores", 1)]


@pytest.mark.parametrize(("link", "scores"), CASES)
def test_a_linear_model_as_a_graph(link: str, scores: int, tmp_path: Path) -> None:
    artifact = open_artifact(linear_artifact(tmp_path / "made", link=link, scores=scores))
    file = export_artifact(artifact, tmp_path / "out" / "model.onnx", "onnx")
    rows = np.random.default_rng(5).normal(size=(200, WIDTH)) * 3
    wanted = load(artifact.manifest.runtime, artifact.manifest.signature, artifact.folder).predict({"X": rows.copy()})
    session = ort.InferenceSession(file)
    got = dict(zip([output.name for output in session.get_outputs()], session.run(None, {"X": rows}), strict=True))
    assert got.keys() == wanted.keys()
    for name, array in wanted.items():
        assert got[name].dtype == array.dtype and got[name].shape == array.shape
        np.testing.assert_allclose(got[name], array, rtol=1e-12, atol=1e-12)


def test_a_graph_is_written_as_it_is(tmp_path: Path) -> None:
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.tree import DecisionTreeClassifier

    X, y = load_iris(return_X_y=True)
    joblib.dump(DecisionTreeClassifier().fit(X, y), tmp_path / "tree.pkl")
    publish(tmp_path / "tree.pkl", "tree", tmp_path / "made")
    file = export_artifact(open_artifact(tmp_path / "made"), tmp_path / "tree.onnx", "onnx")
    assert file.read_bytes() == (tmp_path / "made" / "graph.onnx").read_bytes()


def test_without_the_package_it_says_what_to_install(tmp_path: Path) -> None:
    linear_artifact(tmp_path / "made")
    code = f"""
import sys
from pathlib import Path
sys.modules["onnx"] = None
from salver.artifact.artifact import open_artifact
from salver.errors import ConfigError
from salver.registry.export import export_artifact
try:
    export_artifact(open_artifact(Path({str(tmp_path / "made")!r})), Path({str(tmp_path / "x.onnx")!r}), "onnx")
except ConfigError as error:
    print(error.message)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'salver[train]'" in done.stdout, done.stderr
    assert not (tmp_path / "x.onnx").exists()


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    with pytest.raises(ConfigError, match="there already"):
        export_artifact(open_artifact(linear_artifact(tmp_path / "made")), tmp_path / "there", "onnx")
    assert (tmp_path / "there").read_text() == "mine"
