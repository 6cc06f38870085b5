"""PyTorch's programs: the files of torch.export (.pt2).

The first axis of every input and output is the rows. A program that was exported for a fixed number of rows is asked that many
at a time. One (rows, width) matrix of floats in is a table: a column for each of its numbers.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any, get_args
from zipfile import BadZipFile, ZipFile

import msgspec
import numpy as np
from numpy.typing import NDArray

from salver.errors import ModelFileError
from salver.types.framework import Framework
from salver.types.signature import Column, Columns, DType, Label, Output, Signature, rows_of

NOTES = "salver.json"
"""The name under which `Notes` lie in a program's file."""

_SHAPING = ("view", "reshape", "squeeze", "unsqueeze", "flatten", "clone", "contiguous", "alias", "detach", "to", "_to_copy")
_ADVICE = (
    "save it where its class is, with salver.save(model, 'name', sample=x), or export it yourself: "
    "torch.export.save(torch.export.export(model.eval(), (x,), dynamic_shapes=({0: torch.export.Dim.AUTO},)), 'model.pt2')"
)


class Notes(msgspec.Struct, omit_defaults=True):
    """What a program does not say of itself: its class, and what its columns and its answers are called."""

    model: str = "ExportedProgram"
    names: tuple[str, ...] = ()
    classes: tuple[Label, ...] = ()


class TorchProgram:
    """A `torch.export.ExportedProgram`.

    With classes, its first output holds a number for each class (or one number for two classes): logits, or probabilities
    when the program ends in softmax or sigmoid. Without, its outputs are given as they are.
    """

    tolerance = 1e-4  # single precision through many layers, summed in another order

    modules = ("torch",)

    def __init__(self, program: Any, notes: Notes) -> None:
        import torch

        self.model = self  # what the proof's rows are made from: its examples
        self.program = program
        self.classes = notes.classes
        self.activation = _activation(program)
        self._module = program.module()
        self._inputs = _tensors(program, program.graph_signature.user_inputs, "input")
        self._results = _tensors(program, program.graph_signature.user_outputs, "output")
        size = self._inputs[0].shape[0]
        self._fixed = size if isinstance(size, int) else 0
        self.width = prod(int(size) if isinstance(size, int) else 0 for size in self._results[0].shape[1:])
        self.is_table = _is_table(self._inputs)
        self.examples = self._examples()
        self.framework = Framework("PyTorch", torch.__version__.partition("+")[0], notes.model)
        self.signature = self._signature(notes)

    def predict(self, columns: Columns) -> Columns:
        made = self.answer(columns)
        if not self.classes:
            pairs = zip(self.signature.outputs, made, strict=True)
            return {output.name: values.reshape(values.shape[: 1 + len(output.shape)]) for output, values in pairs}
        scores = made[0].reshape(len(made[0]), -1)
        if scores.shape[1] == 1:
            sure = scores[:, 0] if self.activation else _sigmoid(scores[:, 0])
            labels = scores[:, 0] > (0.5 if self.activation else 0.0)
            return {
                "prediction": labels.astype(np.int64),
                "probabilities": np.stack([1 - sure, sure], axis=1).astype(np.float64),
            }
        likely = scores if self.activation else _softmax(scores)
        return {"prediction": scores.argmax(axis=1), "probabilities": likely.astype(np.float64)}

    def answer(self, columns: Columns) -> list[NDArray[Any]]:
        """The program's own outputs, in its order."""
        feed = self._feed(columns)
        if not self._fixed:
            return self._run(feed)
        rows, size = rows_of(columns), self._fixed
        parts: list[list[NDArray[Any]]] = []
        for start in range(0, rows, size):
            at = np.minimum(np.arange(start, start + size), rows - 1)  # the last row again where a part is not full
            parts.append(self._run([values[at] for values in feed]))
        return [np.concatenate(values)[:rows] for values in zip(*parts, strict=True)]

    def to_onnx(self) -> bytes:
        """The program as a graph with the signature's inputs (a table: one matrix) and outputs. Raises LoweringError."""
        from salver.frameworks.pytorch_onnx import graph_of

        return graph_of(self)

    def _run(self, feed: list[NDArray[Any]]) -> list[NDArray[Any]]:
        import torch
        from torch.utils import _pytree as pytree

        with torch.no_grad():
            given, named = self.program.call_spec.in_spec.unflatten([torch.from_numpy(values) for values in feed])
            made = self._module(*given, **named)
        return [values.numpy() for values in pytree.tree_leaves(made)]

    def _feed(self, columns: Columns) -> list[NDArray[Any]]:
        arrays = [columns[column.name] for column in self.signature.columns]
        if self.is_table:
            arrays = [np.stack(arrays, axis=1)]
        # Copied: a program may write into what it is given, and a message's arrays can't be written.
        return [np.array(array, dtype=_dtype(values)) for array, values in zip(arrays, self._inputs, strict=True)]

    def _examples(self) -> list[NDArray[Any]]:
        """The inputs that the program was exported with, as arrays by column; none when it was saved without."""
        from torch.utils import _pytree as pytree

        given = pytree.tree_leaves(self.program.example_inputs)
        if len(given) != len(self._inputs):
            return []
        arrays = [values.detach().numpy() for values in given]
        return list(arrays[0].T) if self.is_table else arrays

    def _signature(self, notes: Notes) -> Signature:
        names = notes.names or self._own_names()
        values = self._inputs * len(names) if self.is_table else self._inputs
        if len(names) != len(values) or (self.is_table and len(names) != self._inputs[0].shape[1]):
            raise ModelFileError(f"{notes.model}: {len(names)} names for another number of columns")
        columns = tuple(self._column(i, name, values[i]) for i, name in enumerate(names))
        task = "classification" if notes.classes else "generic"
        return Signature(columns, self._outputs(), task, bool(notes.names) or not self.is_table)

    def _own_names(self) -> tuple[str, ...]:
        if self.is_table:
            return tuple(f"x{i}" for i in range(self._inputs[0].shape[1]))
        return tuple(self.program.graph_signature.user_inputs)

    def _column(self, i: int, name: str, values: Any) -> Column:
        # Missing numbers go through most programs and come out as missing answers: legal only where the examples have some.
        missing = bool(self.examples) and self.examples[i].dtype.kind == "f" and bool(np.isnan(self.examples[i]).any())
        shape = () if self.is_table else tuple(size if isinstance(size, int) else -1 for size in values.shape[1:])
        return Column(name, _dtype(values), shape, nullable=missing)

    def _outputs(self) -> tuple[Output, ...]:
        rows = {str(values.shape[0]) for values in self._inputs}
        if any(str(values.shape[0]) not in rows for values in self._results):
            raise ModelFileError("one of the program's outputs has not one row for each row of its inputs; export one that has")
        shapes = [tuple(size if isinstance(size, int) else -1 for size in values.shape[1:]) for values in self._results]
        if self.classes:
            count = len(self.classes)
            if self.width != count and (self.width, count) != (1, 2):
                raise ModelFileError(f"{count} classes do not fit a program that gives {self.width} numbers a row")
            return (Output("prediction", "int64", classes=self.classes), Output("probabilities", "float64", (count,)))
        if len(shapes) == 1:
            return (Output("prediction", _dtype(self._results[0]), () if shapes[0] == (1,) else shapes[0]),)
        names = _output_names(self.program, len(shapes))
        return tuple(Output(name, _dtype(v), shape) for name, v, shape in zip(names, self._results, shapes, strict=True))


def _tensors(program: Any, names: Any, what: str) -> list[Any]:
    """The fake tensors behind a program's inputs or outputs. Raises ModelFileError for one that is none, or has no rows."""
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    found = [values.get(name) for name in names]
    if not found or any(getattr(value, "ndim", 0) < 1 for value in found):
        raise ModelFileError(f"each {what} of a program must be a tensor whose first axis is the rows")
    return found


def _is_table(inputs: list[Any]) -> bool:
    first = inputs[0]
    return len(inputs) == 1 and first.ndim == 2 and first.is_floating_point() and isinstance(first.shape[1], int)


def _dtype(values: Any) -> DType:
    name: Any = str(values.dtype).removeprefix("torch.")
    if name not in get_args(DType):
        raise ModelFileError(f"tensors of {name} are not served; cast them inside the module")
    return name


def _activation(program: Any) -> bool:
    """Whether the first output comes out of a softmax or sigmoid, so that it is probabilities already."""
    node = next(node for node in program.graph.nodes if node.op == "output").args[0][0]
    while getattr(node, "op", "") == "call_function" and _operator(node) in _SHAPING:
        node = node.args[0]
    return getattr(node, "op", "") == "call_function" and _operator(node) in ("softmax", "_softmax", "sigmoid")


def _operator(node: Any) -> str:
    return str(node.target).removeprefix("aten.").partition(".")[0]


def _output_names(program: Any, count: int) -> list[str]:
    spec = program.call_spec.out_spec
    if spec.type is dict and len(spec.context) == count:
        return [str(name) for name in spec.context]
    return [f"output_{i}" for i in range(count)]


def _sigmoid(scores: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-scores.astype(np.float64)))


def _softmax(scores: NDArray[Any]) -> NDArray[Any]:
    raised = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def read(path: Path) -> TorchProgram:
    """Read a .pt2 file that torch.export.save wrote. Raises ModelFileError."""
    import torch

    beside = {NOTES: ""}
    try:
        program = torch.export.load(str(path), extra_files=beside)
    except Exception as error:  # torch raises many kinds for what is no program, or one of a later version
        raise ModelFileError(f"{path.name} is not a program of torch.export that this PyTorch reads; {_ADVICE}") from error
    return TorchProgram(program, msgspec.json.decode(beside[NOTES] or b"{}", type=Notes))


def refuse_pickle(path: Path) -> None:
    """Raise ModelFileError, with advice, for what torch.save and torch.jit.save write: it is told apart without reading it."""
    try:
        names = ZipFile(path).namelist()
    except BadZipFile:
        names = []
    if any("/code/" in name for name in names):
        what = "a TorchScript archive, a format that PyTorch itself has left behind"
    else:
        what = "a pickle of torch.save: it holds no network, or one that only its own code can run"
    raise ModelFileError(f"{path.name} is {what}; {_ADVICE}")
