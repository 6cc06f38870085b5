"""Classes of the user's own: packed with their code, served by it, and lowered when they say how."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import numpy as np
import pytest

import salver
from salver.artifact.artifact import open_artifact
from salver.artifact.trust import Policy
from salver.engine.model import Model
from salver.errors import ModelFileError
from salver.frameworks import own
from salver.lower.publish import publish
from tests.serving import serving

SCORER = """
import numpy as np
from salver import Column, Output


class Scorer:
    inputs = [Column("amount"), Column("country", "category", categories=("de", "fr"))]
    outputs = [Output("prediction", classes=("fine", "fraud")), Output("score")]
    files = ["limits.txt"]

    def __init__(self, limits):
        self.limits = dict(limits)

    @classmethod
    def load(cls, folder):
        return cls(zip(("de", "fr"), map(float, (folder / "limits.txt").read_text().split())))

    def predict(self, columns):
        score = columns["amount"] / np.array([self.limits[country] for country in columns["country"]])
        return {"prediction": np.where(score > 1, "fraud", "fine"), "score": score}
"""

DOUBLER = """
import onnx
from onnx import TensorProto, helper


class Doubler:
    inputs = ["x"]
    factor = FACTOR

    def predict(self, columns):
        return columns["x"] * 2

    def lower(self):
        x = helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["rows"])
        y = helper.make_tensor_value_info("prediction", TensorProto.DOUBLE, ["rows"])
        nodes = [helper.make_node("Constant", [], ["f"], value_float=self.factor),
                 helper.make_node("Cast", ["f"], ["d"], to=TensorProto.DOUBLE),
                 helper.make_node("Mul", ["x", "d"], ["prediction"])]
        graph = helper.make_graph(nodes, "doubled", [x], [y])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()
"""


def scorer(folder: Path) -> Path:
    (folder / "scorer.py").write_text(SCORER)
    (folder / "limits.txt").write_text("100 200")
    return folder / "scorer.py:Scorer"


def test_a_class_in_a_file_is_served_by_its_own_code(tmp_path: Path) -> None:
    with serving([scorer(tmp_path)]) as served:
        body = {"features": {"amount": 150, "country": "de"}}
        answer = httpx.post(f"{served.url}/models/Scorer/predict", json=body).json()
        assert answer["prediction"] == {"prediction": "fraud", "score": 1.5} or answer["prediction"] == "fraud"
        refused = httpx.post(f"{served.url}/predict", json={"features": {"amount": 150, "country": "uk"}})
        assert refused.status_code == 422


def test_the_pack_answers_where_the_source_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    publish(scorer(tmp_path), "scorer", tmp_path / "artifact")
    (tmp_path / "scorer.py").unlink()
    (tmp_path / "limits.txt").unlink()
    artifact = Policy("trusted").admit(open_artifact(tmp_path / "artifact"))
    assert artifact.manifest.runtime.file == "model/pack.own"
    model = Model(artifact)
    model.close()
    open_artifact(tmp_path / "artifact")  # nothing was written into it


@pytest.mark.parametrize(("factor", "chosen"), [("2.0", "exported"), ("3.0", "")])
def test_a_graph_of_its_own_is_used_only_when_it_agrees(tmp_path: Path, factor: str, chosen: str) -> None:
    (tmp_path / "doubler.py").write_text(DOUBLER.replace("FACTOR", factor))
    publish(tmp_path / "doubler.py:Doubler", "doubler", tmp_path / "artifact")
    artifact = Policy("trusted").admit(open_artifact(tmp_path / "artifact"))
    assert artifact.manifest.lowering.chosen == chosen
    model = Model(artifact)
    model.close()


def test_a_living_object_is_saved_with_its_package_and_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "ownpackage"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "features.py").write_text("def twice(x):\n    return x * 2\n")
    (package / "model.py").write_text(
        "from .features import twice\n\nclass Shift:\n    inputs = ['x']\n    def __init__(self, by):\n        self.by = by\n"
        "    @classmethod\n    def load(cls, folder):\n        return cls(float((folder / 'by').read_text()))\n"
        "    def save(self, folder):\n        (folder / 'by').write_text(str(self.by))\n"
        "    def predict(self, columns):\n        return twice(columns['x']) + self.by\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    from ownpackage.model import Shift  # type: ignore[import-not-found]

    saved = salver.save(Shift(0.5), "shift", store=tmp_path / "store", progress=lambda what: None)
    assert saved.manifest.framework.model == "Shift"
    found = next((tmp_path / "store").rglob("pack.own"))
    read = own.read(found)
    assert read.predict({"x": np.array([1.0, 2.0])})["prediction"].tolist() == [2.5, 4.5]
    assert type(read.made).__module__ not in ("ownpackage.model", "__main__")
    assert type(read.made).__module__ in sys.modules


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("class Scorer:\n    pass\n", "no predict"),
        ("class Scorer:\n    def predict(self, columns): ...\n", "which columns"),
        ("class Other: ...\n", "no class Scorer"),
        ("class Scorer:\n    files = [name for name in 'ab']\n", "plain list"),
        ("class Scorer:\n    files = ['nothing.bin']\n", "none beside"),
        ("class Scorer:\n    inputs = [3]\n    def predict(self, columns): ...\n", "names or salver.Column"),
        ("import nosuchmodule\nclass Scorer: ...\n", "nosuchmodule"),
        ("def broken(:\n", "not Python"),
    ],
)
def test_what_is_no_model_is_refused_with_what_to_do(tmp_path: Path, source: str, said: str) -> None:
    (tmp_path / "scorer.py").write_text(source)
    with pytest.raises(ModelFileError, match=said):
        publish(tmp_path / "scorer.py:Scorer", "scorer", tmp_path / "artifact")


def test_the_digest_changes_with_the_code_and_the_files(tmp_path: Path) -> None:
    path = scorer(tmp_path)
    digests = [own.digest(path)]
    (tmp_path / "limits.txt").write_text("1 2")
    digests.append(own.digest(path))
    (tmp_path / "scorer.py").write_text(SCORER + "\n# changed\n")
    digests.append(own.digest(path))
    assert len(set(digests)) == 3
