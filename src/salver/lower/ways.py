"""The ways a model can be lowered. Each writes a file into a folder and says how to serve it, or raises LoweringError."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from salver.artifact.manifest import RuntimeSpec
from salver.errors import LoweringError
from salver.frameworks.base import Trained
from salver.lower import converters
from salver.lower.graph import Graph
from salver.lower.linear import linear

Way = Callable[[Trained, Path], RuntimeSpec]


def graph(trained: Trained, folder: Path) -> RuntimeSpec:
    """Our own converters, in double precision."""
    if find_spec("onnx") is None:
        raise LoweringError("lowering it needs the package onnx: pip install 'salver[train]'")
    import_module("salver.lower.estimators")  # registers the converters
    signature = trained.signature
    if any(column.dtype == "string" or column.shape for column in signature.columns):
        raise LoweringError("it takes free text or tensors")
    made = Graph([column.categories for column in signature.columns])
    if signature.task == "transform":
        outputs = {"prediction": made.numbers(converters.transform(trained.model, made.x, made))}
    else:
        outputs = converters.predict(trained.model, made.x, made)
    wanted = [output.name for output in signature.outputs]
    missing = [name for name in wanted if name not in outputs]
    if missing:
        raise LoweringError(f"its lowering has no {missing[0]}")
    (folder / "graph.onnx").write_bytes(made.model({name: outputs[name] for name in wanted}))
    return RuntimeSpec("onnx", "graph.onnx", "matrix")


def skl2onnx(trained: Trained, folder: Path) -> RuntimeSpec:
    """Somebody else's converters, for what ours refuse."""
    from salver.lower.skl2onnx import convert

    return convert(trained, folder)


WAYS: dict[str, Way] = {"linear": linear, "graph": graph, "skl2onnx": skl2onnx}
