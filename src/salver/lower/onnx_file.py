"""ONNX files: a graph already, of any rank, with several inputs and outputs. Nothing to lower, so nothing to prove.

What is left to do is to say what it takes and gives, and to note golden rows. A classifier's ZipMap, which turns its
probabilities into dictionaries, is taken out: columns are what is served.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.artifact.manifest import Attempt, Golden, Lowering, RuntimeSpec
from salver.errors import ModelFileError
from salver.lower.proof import row_us
from salver.runtimes.base import Runtime, load
from salver.runtimes.onnx import DTYPES
from salver.types.framework import Framework
from salver.types.signature import Column, Columns, Output, Signature

AS_IT_IS = "as it is"
_FILE = "model.onnx"
_OPEN_SIZES = (3, 1, 8, 16, 32, 64, 128, 224)  # tried for dimensions that the graph leaves open
_LABELS, _PROBABILITIES = ("label", "output_label"), ("probabilities", "output_probability")
_FLOATS = ("float16", "float32", "float64")


class Graph:
    """An ONNX file as an artifact's parts."""

    def __init__(self, file: Path, folder: Path) -> None:
        (folder / _FILE).write_bytes(_without_zipmap(file))
        session = _session(folder / _FILE)
        inputs, outputs = session.get_inputs(), session.get_outputs()
        matrix = _is_matrix(inputs)
        self.spec = RuntimeSpec("onnx", _FILE, "matrix" if matrix else "columns")
        columns = _matrix_columns(inputs[0]) if matrix else tuple(_column(arg) for arg in inputs)
        self.signature = Signature(columns, _outputs(outputs), "generic", named=not matrix)
        self.framework = Framework("ONNX Runtime", version("onnxruntime"), session.get_modelmeta().producer_name or "graph")
        runtime = load(self.spec, self.signature, folder)
        try:
            ask, rows = _answerable(runtime, self.signature, matrix)
            self.golden = _golden(self.signature, rows, ask(rows))
            one = {name: values[:1] for name, values in rows.items()}
            us = row_us(lambda: ask(one))
        finally:
            runtime.close()
        self.lowering = Lowering(AS_IT_IS, us, (Attempt(AS_IT_IS, True, row_us=us),))


def _session(path: Path) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has an exception class of its own for each kind of trouble
        raise ModelFileError(f"ONNX Runtime refuses {path.name}: {str(error)[:300]}") from error


def _without_zipmap(file: Path) -> bytes:
    """The graph's bytes in one piece, with the outputs of ZipMap nodes replaced by their inputs (tensors)."""
    try:
        import onnx
    except ModuleNotFoundError:
        return file.read_bytes()
    try:
        model = onnx.load(str(file))
    except Exception as error:  # protobuf's DecodeError, or a missing file of weights
        raise ModelFileError(f"{file.name} can't be read as ONNX: {type(error).__name__}: {str(error)[:200]}") from error
    zipped = [node for node in model.graph.node if node.op_type == "ZipMap"]
    for node in zipped:
        index = [output.name for output in model.graph.output].index(node.output[0])
        model.graph.output[index].CopyFrom(onnx.helper.make_tensor_value_info(node.input[0], onnx.TensorProto.FLOAT, None))
        model.graph.node.remove(node)
    return model.SerializeToString()


def _is_matrix(inputs: list[Any]) -> bool:
    """One (rows, width) input of floats: a row is then a list of numbers."""
    if len(inputs) != 1 or len(inputs[0].shape) != 2 or not isinstance(inputs[0].shape[1], int):
        return False
    return inputs[0].type in ("tensor(float)", "tensor(double)") and not isinstance(inputs[0].shape[0], int)


def _matrix_columns(arg: Any) -> tuple[Column, ...]:
    dtype = DTYPES[arg.type]
    return tuple(Column(f"x{i}", dtype, nullable=True, infinite=True) for i in range(arg.shape[1]))


def _column(arg: Any) -> Column:
    if arg.type not in DTYPES:
        raise ModelFileError(f"its input '{arg.name}' is a {arg.type}, which is not served; give the graph tensors")
    shape = tuple(size if isinstance(size, int) else -1 for size in arg.shape[1:])
    if shape == (1,):
        shape = ()  # the usual way to write one scalar column as an input
    floats = DTYPES[arg.type] in _FLOATS
    return Column(arg.name, DTYPES[arg.type], shape, nullable=floats, infinite=floats)


def _outputs(args: list[Any]) -> tuple[Output, ...]:
    made: list[Output] = []
    for arg in args:
        if arg.type not in DTYPES:
            raise ModelFileError(
                f"its output '{arg.name}' is a {arg.type}; install onnx (pip install 'salver[train]') to take ZipMap out of it"
            )
        shape = tuple(size if isinstance(size, int) else -1 for size in arg.shape[1:])
        made.append(Output(arg.name, DTYPES[arg.type], shape))
    return tuple(made)


def _answerable(runtime: Runtime, signature: Signature, matrix: bool) -> tuple[Callable[[Columns], Columns], Columns]:
    """How the graph is asked, and two rows that it answers. Raises ModelFileError when no size of its open dimensions works."""

    def ask(rows: Columns) -> Columns:
        return runtime.predict({"X": np.stack(list(rows.values()), axis=1)} if matrix else rows)

    refused: Exception | None = None
    for size in _OPEN_SIZES:
        rows = {column.name: _random(column, size) for column in signature.columns}
        try:
            ask(rows)
            return ask, rows
        except Exception as error:  # a size that the graph can't work with
            refused = error
        if not any(-1 in column.shape for column in signature.columns):
            break
    raise ModelFileError(f"the graph answers none of the rows made from its own inputs: {str(refused)[:200]}") from refused


def _random(column: Column, size: int, count: int = 2) -> NDArray[Any]:
    rng = np.random.default_rng(11)
    shape = (count, *(size if wanted < 0 else wanted for wanted in column.shape))
    if column.dtype == "string":
        return np.full(shape, "text", dtype=object)
    if column.dtype in _FLOATS:
        return np.round(rng.uniform(0, 1, shape), 3).astype(np.float64 if not column.shape else column.dtype)
    return rng.integers(0, 2, shape).astype(column.dtype)


def _golden(signature: Signature, rows: Columns, answers: Columns) -> Golden:
    values: list[Any] = [list(row) for row in zip(*(_short(rows[name]) for name in signature.names), strict=True)]
    if len(signature.columns) == 1 and signature.columns[0].shape:
        values = [row[0] for row in values]  # the only tensor is the row
    # The same graph on another processor may round otherwise.
    return Golden(values, {name: array.tolist() for name, array in answers.items()}, tolerance=1e-3)


def _short(array: NDArray[Any]) -> list[Any]:
    """Values as a person would write them: float32's own digits, not those of its double."""
    return np.round(array.astype(np.float64), 3).tolist() if array.dtype.kind == "f" else array.tolist()
