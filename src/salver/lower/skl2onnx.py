"""A second way to a graph: skl2onnx, for models of numbers of which our own converters lack a part.

In double precision where its converter can, else in single; either way the proof decides.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from salver.artifact.manifest import RuntimeSpec
from salver.errors import LoweringError, first_line
from salver.frameworks.base import Trained, exports
from salver.lower.graph import IR_VERSION, ML_OPSET, OPSET
from salver.types.signature import Output, Signature

_FILE = "skl2onnx.onnx"


def convert(trained: Trained, folder: Path) -> RuntimeSpec:
    """Write skl2onnx's graph of the model, with the signature's outputs. Raises LoweringError."""
    if (folder / "graph.onnx").exists():
        raise LoweringError("")  # ours was written; this is for what it refused
    if find_spec("skl2onnx") is None:
        raise LoweringError("")  # our own way says what to install
    signature = trained.signature
    if exports(trained):
        raise LoweringError("")
    if trained.framework.name != "scikit-learn" or not all(c.is_number and not c.shape for c in signature.columns):
        raise LoweringError("it does not take numbers alone")
    if any(output.is_multilabel for output in signature.outputs):
        raise LoweringError("it has several labels a row")
    reason = ""
    for double in (True, False):
        try:
            made = _finished(_converted(trained.model, signature, double), signature)
            _load(made)
        except Exception as error:  # skl2onnx and ONNX Runtime raise many kinds for "not supported"
            reason = f"{type(error).__name__}: {first_line(error)[:120]}"
            continue
        (folder / _FILE).write_bytes(made)
        return RuntimeSpec("onnx", _FILE, "matrix")
    raise LoweringError(f"skl2onnx can't convert it ({reason})")


def _converted(model: Any, signature: Signature, double: bool) -> Any:
    library: Any = import_module("skl2onnx")
    types: Any = import_module("skl2onnx.common.data_types")
    kind = types.DoubleTensorType if double else types.FloatTensorType
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    options: dict[int, Any] = {}
    if signature.task == "classification":
        options[id(last)] = {"zipmap": False, "nocl": True}  # labels by their place, not by their name
        if signature.output("scores") is not None:
            options[id(last)]["raw_scores"] = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return library.to_onnx(
            model,
            initial_types=[("X", kind([None, len(signature.columns)]))],
            options=options,
            target_opset={"": OPSET, "ai.onnx.ml": min(3, ML_OPSET)},
        )


def _finished(made: Any, signature: Signature) -> bytes:
    """The graph with outputs named and shaped as the signature has them."""
    from onnx import compose, helper

    # Its names may be ours.
    made = compose.add_prefix(made, "skl_", rename_inputs=False)
    given = [output.name for output in made.graph.output]
    if len(given) < len(signature.outputs):
        raise LoweringError(f"skl2onnx gives {len(given)} outputs of {len(signature.outputs)}")
    nodes: list[Any] = []
    for output, name in zip(signature.outputs, given, strict=False):
        nodes += _shaped(output, name, made)
    made.graph.node.extend(nodes)
    del made.graph.output[:]
    made.graph.output.extend(helper.make_empty_tensor_value_info(output.name) for output in signature.outputs)
    made.ir_version = IR_VERSION
    return made.SerializeToString()


def _shaped(output: Output, name: str, made: Any) -> list[Any]:
    """Nodes from one of skl2onnx's outputs to one of ours: indices of classes, numbers in double precision, our shape."""
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    if output.classes == (-1, 1):  # an outlier detector's
        made.graph.initializer.append(numpy_helper.from_array(np.array(0, dtype=np.int64), "border"))
        nodes.append(helper.make_node("Greater", [name, "border"], ["inlier"]))
        name = "inlier"
    kind = TensorProto.INT64 if output.dtype == "int64" else TensorProto.DOUBLE
    shape = np.array([-1, *output.shape], dtype=np.int64)
    made.graph.initializer.append(numpy_helper.from_array(shape, f"{output.name}_shape"))
    nodes.append(helper.make_node("Cast", [name], [f"{output.name}_cast"], to=kind))
    nodes.append(helper.make_node("Reshape", [f"{output.name}_cast", f"{output.name}_shape"], [output.name]))
    return nodes


def _load(made: bytes) -> None:
    """Raise what ONNX Runtime raises on a graph that it has no kernels for."""
    onnxruntime: Any = import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    onnxruntime.InferenceSession(made, options, providers=["CPUExecutionProvider"])
