"""A version out of the registry, for other programs: its folder, or the graph alone."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np

from salver.artifact.artifact import Artifact, atomic_folder
from salver.artifact.manifest import FILENAME
from salver.errors import ConfigError

_OPSET = 18
_IR_VERSION = 10
_DOUBLE = 11


def export_artifact(artifact: Artifact, destination: Path, to: Literal["folder", "onnx"]) -> Path:
    """Write `artifact` to `destination`, which must be free. Raises ConfigError when it is not, or when there is no graph."""
    if destination.exists():
        raise ConfigError(f"{destination} is there already; nothing is written over")
    if to == "onnx":
        data = _graph(artifact)
        destination.parent.mkdir(parents=True, exist_ok=True)
        made = destination.with_name(f".{destination.name}.{secrets.token_hex(6)}")
        made.write_bytes(data)
        made.replace(destination)
        return destination
    with atomic_folder(destination) as folder:
        for name in (*artifact.manifest.files, FILENAME):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(artifact.folder / name, folder / name)
    return destination


def _graph(artifact: Artifact) -> bytes:
    runtime = artifact.manifest.runtime
    if runtime.kind == "onnx":
        return (artifact.folder / runtime.file).read_bytes()
    if runtime.kind == "linear":
        return _linear_graph(artifact.folder / runtime.file)
    raise ConfigError(
        f"'{artifact.manifest.name}' has no graph: it is served by {artifact.manifest.framework.name} itself. "
        "--to folder writes all of it"
    )


def _linear_graph(file: Path) -> bytes:
    """The arrays of a linear model (their format is told in runtimes/linear.py) as a graph with the same outputs."""
    try:
        from onnx import helper, numpy_helper
    except ImportError:
        raise ConfigError("writing the graph of a linear model needs the package onnx: pip install 'salver[train]'") from None
    with np.load(file, allow_pickle=False) as stored:
        coef, intercept, link = stored["coef"], stored["intercept"], str(stored["link"])
    nodes, outputs = _link(link, coef.shape[1] == 1)
    constants = {
        "coef": coef,
        "intercept": intercept,
        "zero": np.zeros(1),
        "one": np.ones(1),
        "all": np.array([-1], np.int64),
        "last": np.array([1], np.int64),
    }
    used = {name for _, inputs, _, _ in nodes for name in inputs}
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output], **attributes) for kind, inputs, output, attributes in nodes],
        "salver",
        [helper.make_tensor_value_info("X", _DOUBLE, [None, len(coef)])],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items() if name in used],
    )
    opsets = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION).SerializeToString()


_Node = tuple[str, list[str], str, dict[str, Any]]


def _link(link: str, one: bool) -> tuple[list[_Node], list[str]]:
    """The nodes from `X` on, and the outputs. `one`: there is a single score a row."""
    nodes: list[_Node] = [("MatMul", ["X", "coef"], "product", {}), ("Add", ["product", "intercept"], "raw", {})]
    flat: list[_Node] = [("Reshape", ["raw", "all"], "flat", {})]
    positive: list[_Node] = [
        *flat,
        ("Greater", ["flat", "zero"], "positive", {}),
        ("Cast", ["positive"], "prediction", {"to": 7}),
    ]
    largest: list[_Node] = [("ArgMax", ["raw"], "prediction", {"axis": 1, "keepdims": 0})]
    if link == "identity":
        named: _Node = ("Reshape", ["raw", "all"], "prediction", {}) if one else ("Identity", ["raw"], "prediction", {})
        return [*nodes, named], ["prediction"]
    if link == "scores":
        shown: _Node = ("Identity", ["flat" if one else "raw"], "scores", {})
        return [*nodes, *(positive if one else largest), shown], ["prediction", "scores"]
    if link == "softmax":
        nodes = [*nodes, *largest, ("Softmax", ["raw"], "probabilities", {"axis": 1})]
    elif link == "sigmoid":
        chances: list[_Node] = [("Sigmoid", ["raw"], "yes", {}), ("Sub", ["one", "yes"], "no", {})]
        nodes = [*nodes, *positive, *chances, ("Concat", ["no", "yes"], "probabilities", {"axis": 1})]
    else:  # ovr
        each: list[_Node] = [("Sigmoid", ["raw"], "each", {}), ("ReduceSum", ["each", "last"], "sum", {"keepdims": 1})]
        nodes = [*nodes, *largest, *each, ("Div", ["each", "sum"], "probabilities", {})]
    return nodes, ["prediction", "probabilities"]
