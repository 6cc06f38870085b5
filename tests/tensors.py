"""Artifacts of small ONNX graphs: the models that the Open Inference Protocol's examples and clients expect to find."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from salver.artifact.artifact import describe_files, write_golden, write_manifest
from salver.artifact.manifest import Golden, Lowering, Manifest, RuntimeSpec
from salver.types.framework import Framework
from salver.types.signature import ANY_SHAPE, Column, Output, Signature

ELEMENTS = {
    "float16": "FLOAT16",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "string": "STRING",
    "bool": "BOOL",
    **{f"{sign}int{bits}": f"{sign}int{bits}".upper() for sign in ("", "u") for bits in (8, 16, 32, 64)},
}

Node = tuple[str, list[str], list[str]]


def graph_folder(
    folder: Path,
    columns: Sequence[Column],
    outputs: Sequence[Output],
    nodes: Sequence[Node],
    row: list[object],
    answer: dict[str, object],
    constants: dict[str, float] | None = None,
) -> Path:
    """Write an artifact, called as `folder` is, of a graph of `nodes` (operator, inputs, outputs) that answers `row` so."""
    import onnx
    from onnx import helper

    def declared(tensor: Column | Output) -> onnx.ValueInfoProto:
        shape = None if tensor.shape == ANY_SHAPE else ["n", *(None if size < 0 else size for size in tensor.shape)]
        return helper.make_tensor_value_info(tensor.name, getattr(onnx.TensorProto, ELEMENTS[tensor.dtype]), shape)

    graph = helper.make_graph(
        [helper.make_node(operator, inputs, results) for operator, inputs, results in nodes],
        folder.name,
        [declared(column) for column in columns],
        [declared(output) for output in outputs],
        [helper.make_tensor(name, onnx.TensorProto.FLOAT, [], [value]) for name, value in (constants or {}).items()],
    )
    folder.mkdir(parents=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx")
    write_golden(folder, Golden([row], {name: [value] for name, value in answer.items()}, 1e-6))
    write_manifest(
        folder,
        Manifest(
            name=folder.name,
            signature=Signature(tuple(columns), tuple(outputs), named=True),
            framework=Framework("onnx", onnx.__version__, "graph"),
            runtime=RuntimeSpec("onnx", "model.onnx", "columns"),
            lowering=Lowering("", 1.0),
            files=describe_files(folder),
            created="2026-01-01T00:00:00Z",
            python="3.11",
        ),
    )
    return folder


def simple_folder(folder: Path) -> Path:
    """INPUT0 + INPUT1 and INPUT0 - INPUT1, of sixteen INT32 each."""
    columns = [Column(name, "int32", (16,)) for name in ("INPUT0", "INPUT1")]
    outputs = [Output(name, "int32", (16,)) for name in ("OUTPUT0", "OUTPUT1")]
    nodes: list[Node] = [("Add", ["INPUT0", "INPUT1"], ["OUTPUT0"]), ("Sub", ["INPUT0", "INPUT1"], ["OUTPUT1"])]
    return graph_folder(folder, columns, outputs, nodes, [[2] * 16, [1] * 16], {"OUTPUT0": [3] * 16, "OUTPUT1": [1] * 16})


def identity_folder(folder: Path, dtype: str, value: object) -> Path:
    """OUTPUT0 is INPUT0, of any length."""
    number = dtype.startswith("float")
    column = Column("INPUT0", dtype, (-1,), nullable=number, infinite=number)  # type: ignore[arg-type]
    output = Output("OUTPUT0", dtype, (-1,))  # type: ignore[arg-type]
    return graph_folder(folder, [column], [output], [("Identity", ["INPUT0"], ["OUTPUT0"])], [value], {"OUTPUT0": [value]})


def half_plus_two_folder(folder: Path) -> Path:
    """y = x / 2 + 2 of tensors of any shape, as TensorFlow Serving's example has it."""
    column = Column("x", "float32", ANY_SHAPE, nullable=True, infinite=True)
    nodes: list[Node] = [("Mul", ["x", "half"], ["product"]), ("Add", ["product", "two"], ["y"])]
    constants = {"half": 0.5, "two": 2.0}
    return graph_folder(folder, [column], [Output("y", "float32", ANY_SHAPE)], nodes, [1.0], {"y": [2.5]}, constants)


def rowsum_folder(folder: Path) -> Path:
    """The sum of the columns a and b."""
    columns = [Column(name, "float64", nullable=True) for name in ("a", "b")]
    return graph_folder(folder, columns, [Output("y", "float64")], [("Add", ["a", "b"], ["y"])], [1.0, 2.0], {"y": 3.0})


def text_folder(folder: Path, output: str) -> Path:
    """Text as it is, under the name of `output`."""
    return graph_folder(
        folder, [Column("x", "string")], [Output(output, "string")], [("Identity", ["x"], [output])], ["a"], {output: "a"}
    )


def protocol_folders(folder: Path) -> list[Path]:
    """`simple` and the identities, under the names that the protocol's own examples use."""
    kinds = {"fp32": ("float32", 1.5), "fp16": ("float16", 1.5), "int64": ("int64", 1), "bool": ("bool", True)}
    kinds |= {f"uint{bits}": (f"uint{bits}", 1) for bits in (8, 32)}
    identities = [identity_folder(folder / f"identity_{name}", *kind) for name, kind in kinds.items()]
    identities += [identity_folder(folder / "unloadable", "float32", 1.5)]
    made = [half_plus_two_folder(folder / "half_plus_two"), text_folder(folder / "tfs_bytes", "y_bytes")]
    return [*made, simple_folder(folder / "simple"), identity_folder(folder / "simple_identity", "string", "a"), *identities]
