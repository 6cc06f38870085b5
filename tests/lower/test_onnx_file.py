"""ONNX files of any rank are described, answered and given golden rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from salver.artifact.artifact import open_artifact
from salver.engine.lane import Lane
from salver.engine.model import Model
from salver.errors import ModelFileError
from salver.lower.publish import publish


def write(path: Path, nodes, inputs, outputs, constants=()) -> Path:
    graph = helper.make_graph(nodes, "test", inputs, outputs, list(constants))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def floats(name: str, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def opened(file: Path, tmp_path: Path) -> Model:
    publish(file, "graph", tmp_path / "artifact")
    return Model(open_artifact(tmp_path / "artifact"))


def test_images_in_embeddings_and_scores_out(tmp_path: Path) -> None:
    axis = onnx.numpy_helper.from_array(np.array([1]), "axis")
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["embedding"]),
        helper.make_node("ReduceSum", ["embedding", "axis"], ["score"], keepdims=0),
    ]
    outputs = [floats("embedding", "N", 3), floats("score", "N")]
    file = write(tmp_path / "i.onnx", nodes, [floats("image", "N", 3, 4, 4)], outputs, [axis])
    model = opened(file, tmp_path)
    assert model.signature.columns[0].shape == (3, 4, 4)
    image = np.arange(48, dtype=np.float32).reshape(1, 3, 4, 4)
    answer = model._runtime.predict({"image": image})
    assert answer["embedding"].tolist() == image.mean(axis=(2, 3)).tolist()
    assert answer["score"].tolist() == [image.mean(axis=(2, 3)).sum()]
    Lane(model, None)


def test_a_graph_for_one_row_at_a_time_takes_any_number(tmp_path: Path) -> None:
    file = write(tmp_path / "f.onnx", [helper.make_node("Relu", ["x"], ["y"])], [floats("x", 1, 4)], [floats("y", 1, 4)])
    model = opened(file, tmp_path)
    rows = np.array([[1, -2, 3, -4], [-5, 6, -7, 8], [0, 0, 9, -9]], dtype=np.float32)
    assert model._runtime.predict({"x": rows})["y"].tolist() == np.maximum(rows, 0).tolist()


def test_a_matrix_takes_lists_of_numbers_with_nulls(tmp_path: Path) -> None:
    file = write(tmp_path / "m.onnx", [helper.make_node("IsNaN", ["x"], ["y"])], [floats("x", "N", 2)],
                 [helper.make_tensor_value_info("y", TensorProto.BOOL, ("N", 2))])  # fmt: skip
    model = opened(file, tmp_path)
    rows = [model.checker.check([1.0, None]), model.checker.check({"x1": 2, "x0": "NaN"})]
    assert model._runtime.predict({"X": model.checker.matrix(rows)})["y"].tolist() == [[False, True], [True, False]]


def test_what_is_no_graph_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"not a graph")
    with pytest.raises(ModelFileError, match=r"bad\.onnx|model\.onnx"):
        publish(tmp_path / "bad.onnx", "graph", tmp_path / "artifact")
    assert not (tmp_path / "artifact").exists()
