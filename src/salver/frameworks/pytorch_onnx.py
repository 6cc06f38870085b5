"""A PyTorch program as an ONNX graph, by PyTorch's own exporter. The answers of a classifier are added to it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from salver.errors import LoweringError

if TYPE_CHECKING:
    from salver.frameworks.pytorch import TorchProgram

_RAW = "program_output_"


def graph_of(trained: TorchProgram) -> bytes:
    """The graph's bytes, with the signature's names. Raises LoweringError when PyTorch's exporter refuses the program."""
    for package in ("onnx", "onnxscript"):
        if find_spec(package) is None:
            raise LoweringError(f"lowering it needs the package {package}: pip install 'salver[pytorch]'")
    from onnx import helper

    program = trained.program
    names = [f"{_RAW}{i}" for i in range(len(program.graph_signature.user_outputs))]
    inputs = ["X"] if trained.is_table else trained.signature.names
    model = _exported(program, inputs, names)
    del model.graph.output[:]
    if trained.classes:
        _add_classes(trained, model)
    else:
        _rename(trained, model, names)
    model.graph.output.extend(helper.make_empty_tensor_value_info(output.name) for output in trained.signature.outputs)
    return model.SerializeToString()


def _exported(program: Any, inputs: list[str], outputs: list[str]) -> Any:
    import torch

    with quiet():
        try:
            made: Any = torch.onnx.export(program, input_names=inputs, output_names=outputs, dynamo=True, verbose=False)
        except Exception as error:  # it has many classes for what it can't write
            raise LoweringError(f"PyTorch's ONNX exporter refuses it ({type(error).__name__})") from error
    return made.model_proto


def _rename(trained: TorchProgram, model: Any, names: list[str]) -> None:
    """The program's outputs under the signature's names; (rows, 1) numbers as (rows,) where the signature has it so."""
    from onnx import helper, numpy_helper

    for output, name in zip(trained.signature.outputs, names, strict=True):
        if output.shape:
            model.graph.node.append(helper.make_node("Identity", [name], [output.name]))
        else:
            model.graph.initializer.append(numpy_helper.from_array(np.array([-1], dtype=np.int64), f"{name}_shape"))
            model.graph.node.append(helper.make_node("Reshape", [name, f"{name}_shape"], [output.name]))


def _add_classes(trained: TorchProgram, model: Any) -> None:
    """From the program's first output to the index of the class and the probabilities, in double precision."""
    from onnx import TensorProto, helper, numpy_helper

    def add(operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        model.graph.node.append(helper.make_node(operator, inputs, [output], **attributes))

    one = trained.width == 1
    constants: list[tuple[str, Any]] = [("salver_shape", np.array([-1] if one else [-1, trained.width], dtype=np.int64))]
    add("Reshape", [f"{_RAW}0", "salver_shape"], "salver_raw")
    add("Cast", ["salver_raw"], "salver_scores", to=TensorProto.DOUBLE)
    if one:
        constants += [("salver_border", np.array(0.5 if trained.activation else 0.0)), ("salver_one", np.array(1.0))]
        constants += [("salver_axis", np.array([1], dtype=np.int64))]
        add("Identity" if trained.activation else "Sigmoid", ["salver_scores"], "salver_sure")
        add("Sub", ["salver_one", "salver_sure"], "salver_other")
        add("Unsqueeze", ["salver_sure", "salver_axis"], "salver_second")
        add("Unsqueeze", ["salver_other", "salver_axis"], "salver_first")
        add("Concat", ["salver_first", "salver_second"], "probabilities", axis=1)
        add("Greater", ["salver_scores", "salver_border"], "salver_is_second")
        add("Cast", ["salver_is_second"], "prediction", to=TensorProto.INT64)
    else:
        add("Identity" if trained.activation else "Softmax", ["salver_scores"], "probabilities")
        add("ArgMax", ["salver_scores"], "prediction", axis=1, keepdims=0)
    model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in constants)


@contextmanager
def quiet() -> Generator[None]:
    """Without the exporters' advice, which is for those who work on them."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
