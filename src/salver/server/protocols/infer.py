"""The Open Inference Protocol's inference, whatever wire it comes over: tensors ↔ checked columns, and metadata. Pure.

A tabular model is asked in either of two styles: one input a column (shape [n] or [n, 1]), or one matrix [n, columns] of any
name. A model of tensors is asked by its own inputs, in their own datatypes.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from salver.engine.batch import Batch
from salver.engine.lane import Lane
from salver.errors import InputError, SalverError
from salver.server import reading
from salver.server.problems import status_of
from salver.server.protocols import classification
from salver.server.protocols.tensors import NUMPY, Tensor, datatype_of
from salver.server.settings import Limits
from salver.types.rows import Row
from salver.types.signature import ANY_SHAPE, Column, Columns, Output, rows_of

MATRIX = "X"
IDS = "prediction_id"
"""An output of every model, given only where it is asked for: the ids under which the rows are logged."""


class TensorMetadata(msgspec.Struct):
    """An input or output as metadata describes it; -1 is any length."""

    name: str
    datatype: str
    shape: list[int]


class Metadata(msgspec.Struct):
    """What the protocol says of a model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


_FEW_ROWS = 16
"""Of so few rows, checking one value after the other is quicker than whole columns are."""


class Question(msgspec.Struct):
    """A checked request: rows or columns for the engine (one of the two), and the outputs that are wanted."""

    rows: list[Row] | None
    columns: Columns | None
    count: int
    outputs: list[str]
    classify: dict[str, int]  # of these outputs only so many elements, the largest, are wanted


class Codec:
    """Checks questions to one model and gives its answers as tensors."""

    def __init__(self, lane: Lane, limits: Limits) -> None:
        self.lane = lane
        self.limits = limits
        model, signature = lane.model, lane.model.signature
        self.name, self.version = model.name, str(model.version)
        self._checker = model.checker
        self._columns = {column.name: column for column in signature.columns}
        self._outputs = {output.name: output for output in signature.outputs}
        # A model with a task is fed rows of columns; one without is fed the tensors that it declares.
        self._tabular = signature.task != "generic" and not any(column.shape for column in signature.columns)
        self._datatypes = {output.name: datatype_of(output) for output in signature.outputs}

    def inputs(self) -> list[TensorMetadata]:
        """What the model takes: one matrix where all of its columns are numbers."""
        if self._tabular and all(column.is_number for column in self._columns.values()):
            return [TensorMetadata(MATRIX, "FP64", [-1, len(self._columns)])]
        return [_metadata(column) for column in self._columns.values()]

    def metadata(self, versions: list[str]) -> Metadata:
        platform = f"salver_{self.lane.model.manifest.runtime.kind}"
        outputs = [_metadata(output) for output in self._outputs.values()]
        return Metadata(self.name, versions, platform, self.inputs(), outputs)

    def question(self, inputs: list[Tensor], outputs: list[str], classify: dict[str, int]) -> Question:
        """Check what is asked; no `outputs` means all. Raises InputError, which never repeats what was sent."""
        reading.require_columns(len(inputs), self.limits)
        reading.require_rows(max((len(tensor.array) for tensor in inputs), default=0), self.limits)
        wanted = self._named_outputs(outputs)
        for name, count in classify.items():
            classification.check(name, self._datatypes.get(name, "BYTES"), count)
        if len(inputs) == 1 and self.is_matrix([inputs[0].name]):
            matrix = inputs[0].array
            self._check_width(matrix)
            if 0 < len(matrix) <= _FEW_ROWS and matrix.dtype.kind in "fiu":
                rows = [self._checker.check(row, i) for i, row in enumerate(matrix.tolist())]
                return Question(rows, None, len(rows), wanted, classify)
        columns = self._checker.check_columns(self._by_column(inputs))
        return Question(None, columns, rows_of(columns), wanted, classify)

    def answer(self, question: Question, batch: Batch, start: int) -> list[Tensor]:
        """The wanted outputs of `batch` from row `start` on."""
        rows = slice(start, start + question.count)
        answered = [self._output(name, batch, rows) for name in question.outputs]
        if not question.classify:
            return answered
        return [self._largest(tensor, question.classify.get(tensor.name, 0)) for tensor in answered]

    def _by_column(self, inputs: list[Tensor]) -> Columns:
        if not inputs:
            raise InputError('"inputs" must have at least one tensor', code="invalid_body")
        names = [tensor.name for tensor in inputs]
        if len(set(names)) < len(names):
            raise InputError("an input is given twice", code="invalid_body")
        if self.is_matrix(names):
            matrix = inputs[0].array
            return {name: matrix[:, i] for i, name in enumerate(self._columns)}
        self._check_names(names)
        return {tensor.name: self._column(tensor) for tensor in inputs}

    def is_matrix(self, names: list[str]) -> bool:
        """Whether inputs of these names are a single matrix of all columns."""
        return self._tabular and len(names) == 1 and names[0] not in self._columns

    def called(self, name: str) -> str:
        """An input's name as it may be repeated: the model's own word for it, never the caller's."""
        return name if name in self._columns else MATRIX

    def _check_width(self, matrix: NDArray[Any]) -> None:
        width = len(self._columns)
        if matrix.ndim != 2 or matrix.shape[1] != width:
            raise InputError(
                f"unexpected shape for input '{MATRIX}' for model '{self.name}'. Expected [-1,{width}]", code="wrong_width"
            )

    def _check_names(self, names: list[str]) -> None:
        unexpected = sum(name not in self._columns for name in names)
        missing = [name for name in self._columns if name not in names]
        if not unexpected and not missing:
            return
        raise InputError(
            f"expected {len(self._columns)} inputs but got {len(names)} inputs for model '{self.name}': "
            f"{unexpected} unexpected, missing required input(s) {missing}",
            code="missing_column" if missing else "unknown_column",
        )

    def _column(self, tensor: Tensor) -> NDArray[Any]:
        column, array = self._columns[tensor.name], tensor.array
        wanted = datatype_of(column)
        if not self._tabular and tensor.datatype != wanted:
            raise InputError(
                f"inference input '{column.name}' data-type is '{tensor.datatype}', but model '{self.name}' expects '{wanted}'",
                code="wrong_type",
                column=column.name,
            )
        if not column.shape and array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if column.dtype == "string" and column.shape and None in array.reshape(-1).tolist():
            raise InputError(f"input '{column.name}': its data has an element that is no BYTES", code="missing_value")
        return array

    def _named_outputs(self, names: list[str]) -> list[str]:
        if not names:
            return list(self._outputs)
        if any(name not in self._outputs and name != IDS for name in names):
            raise InputError(
                f"unexpected inference output for model '{self.name}'; it gives {list(self._outputs)}", code="invalid_body"
            )
        if len(set(names)) < len(names):
            raise InputError("an output is asked for twice", code="invalid_body")
        return names

    def _output(self, name: str, batch: Batch, rows: slice) -> Tensor:
        if name == IDS:
            return Tensor(IDS, "BYTES", np.array(batch.ids[rows], dtype=object))
        datatype = self._datatypes[name]
        if self._outputs[name].classes is None:
            return Tensor(name, datatype, batch.arrays[name][rows])
        return Tensor(name, datatype, np.array(batch.outputs[name][rows], dtype=NUMPY[datatype]))

    def _largest(self, tensor: Tensor, count: int) -> Tensor:
        if not count:
            return tensor
        labels = self.lane.model.signature.prediction.classes or ()
        fit = tensor.array.ndim == 2 and tensor.array.shape[1] == len(labels)
        return classification.largest(tensor, count, labels if fit else ())


def error_status(error: SalverError) -> int:
    """The protocol has one status for whatever the caller did wrong."""
    return 400 if isinstance(error, InputError) else status_of(error)


def _metadata(declared: Column | Output) -> TensorMetadata:
    return TensorMetadata(
        declared.name,
        datatype_of(declared),
        [-1, *(-1 for _ in declared.shape)] if declared.shape == ANY_SHAPE else [-1, *declared.shape],
    )
