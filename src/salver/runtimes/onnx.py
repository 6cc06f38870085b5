"""A graph in ONNX Runtime: one thread, no copies that can be helped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from salver.artifact.manifest import RuntimeSpec
from salver.types.signature import Columns, Signature

_NUMPY = {
    "tensor(bool)": np.bool_,
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    **{f"tensor({sign}int{bits})": np.dtype(f"{sign}int{bits}").type for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "tensor(string)": np.object_,
}


class OnnxRuntime:
    def __init__(self, path: Path, outputs: list[str]) -> None:
        options = ort.SessionOptions()
        # One thread: the batch is the parallelism, and workers share the cores. More threads also reorder sums.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._outputs = outputs
        self._inputs = [(arg.name, _NUMPY[arg.type], len(arg.shape)) for arg in self._session.get_inputs()]

    def predict(self, inputs: Columns) -> Columns:
        feed = {name: _shaped(inputs[name], dtype, rank) for name, dtype, rank in self._inputs}
        return dict(zip(self._outputs, self._session.run(self._outputs, feed), strict=True))  # type: ignore[arg-type]

    def close(self) -> None:
        del self._session


def _shaped(array: Any, dtype: Any, rank: int) -> Any:
    if array.dtype != dtype:
        array = array.astype(dtype)
    # A scalar column feeds a graph that was made with one (rows, 1) input a column.
    return array[:, None] if rank == array.ndim + 1 else array


def load(spec: RuntimeSpec, signature: Signature, folder: Path) -> OnnxRuntime:
    return OnnxRuntime(folder / spec.file, [output.name for output in signature.outputs])
