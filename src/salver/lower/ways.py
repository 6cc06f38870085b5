"""The ways a model can be lowered. Each writes a file into a folder and says how to serve it, or raises LoweringError."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from salver.artifact.manifest import RuntimeSpec
from salver.errors import LoweringError
from salver.frameworks.base import Trained, exports
from salver.lower import converters
from salver.lower.graph import Graph
from salver.lower.linear import linear

Way = Callable[[Trained, Path], RuntimeSpec]


def graph(trained: Trained, folder: Path) -> RuntimeSpec:
    """Our own converters, in double precision."""
    if exports(trained):
        raise LoweringError("")  # it knows better itself
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


def exported(trained: Trained, folder: Path) -> RuntimeSpec:
    """The graph that the model's own library, or its own class, writes."""
    made = trained.to_onnx() if exports(trained) else None
    if made is None:
        raise LoweringError("")
    file = folder / "exported.onnx"
    file.write_bytes(made)
    return RuntimeSpec(
        "onnx", file.name, "matrix" if _inputs(file) == ["X"] and trained.signature.names != ["X"] else "columns"
    )


def _inputs(file: Path) -> list[str]:
    import onnx

    graph = onnx.load(str(file), load_external_data=False).graph
    constants = {constant.name for constant in graph.initializer}
    return [given.name for given in graph.input if given.name not in constants]


WAYS: dict[str, Way] = {"linear": linear, "graph": graph, "skl2onnx": skl2onnx, "exported": exported}
