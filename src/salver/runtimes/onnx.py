"""A graph in ONNX Runtime: one thread, no copies that can be helped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from salver.artifact.manifest import RuntimeSpec
from salver.errors import ArtifactError
from salver.runtimes.graph_file import require_plain
from salver.types.signature import Columns, DType, Signature, rows_of

DTYPES: dict[str, DType] = {
    "tensor(bool)": "bool",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(float16)": "float16",
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(string)": "string",
}
"""ONNX Runtime's element types as a signature has them."""


class OnnxRuntime:
    """A session. A graph made for a fixed number of rows is asked that many at a time."""

    def __init__(self, path: Path, outputs: list[str], matrix: bool) -> None:
        options = ort.SessionOptions()
        # One thread: the batch is the parallelism, and workers share the cores. More threads also reorder sums.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        require_plain(path)
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has an exception class of its own for each kind of trouble
            raise ArtifactError(f"ONNX Runtime refuses {path.name}: {type(error).__name__}: {str(error)[:200]}") from error
        self._outputs = outputs
        args = self._session.get_inputs()
        # The name in the graph, and how we call it: a matrix is always X.
        self._inputs = [(arg.name, "X" if matrix else arg.name, _numpy(DTYPES[arg.type]), len(arg.shape)) for arg in args]
        sizes = {arg.shape[0] for arg in args if arg.shape}
        size = sizes.pop() if len(sizes) == 1 else None
        self._fixed = size if isinstance(size, int) else 0

    def predict(self, inputs: Columns) -> Columns:
        feed = {name: _shaped(inputs[given], dtype, rank) for name, given, dtype, rank in self._inputs}
        if self._fixed and rows_of(feed) != self._fixed:
            return self._in_parts(feed)
        return self._run(feed)

    def close(self) -> None:
        del self._session

    def _run(self, feed: Columns) -> Columns:
        return dict(zip(self._outputs, self._session.run(self._outputs, feed), strict=True))  # type: ignore[arg-type]

    def _in_parts(self, feed: Columns) -> Columns:
        size, rows = self._fixed, rows_of(feed)
        parts: list[Columns] = []
        for start in range(0, rows, size):
            at = np.minimum(np.arange(start, start + size), rows - 1)  # the last row again where a part is not full
            parts.append(self._run({name: array[at] for name, array in feed.items()}))
        return {name: np.concatenate([part[name] for part in parts])[:rows] for name in self._outputs}


def _numpy(dtype: DType) -> Any:
    return np.dtype(object if dtype == "string" else dtype)


def _shaped(array: Any, dtype: Any, rank: int) -> Any:
    if array.dtype != dtype:
        array = array.astype(dtype)
    # A scalar column feeds a graph that was made with one (rows, 1) input a column.
    return array[:, None] if rank == array.ndim + 1 else array


def load(spec: RuntimeSpec, signature: Signature, folder: Path) -> OnnxRuntime:
    return OnnxRuntime(folder / spec.file, [output.name for output in signature.outputs], spec.layout == "matrix")
