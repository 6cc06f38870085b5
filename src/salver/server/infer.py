"""The Open Inference Protocol's inference in JSON: bytes to checked columns, outputs to bytes, and a model's metadata. Pure.

A tabular model is asked in either of two styles: one input a column (shape [n] or [n, 1]), or one matrix [n, columns] of any
name. A model of tensors is asked by its own inputs, in their own datatypes.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from salver.engine.batch import Batch
from salver.engine.lane import Lane
from salver.errors import InputError, SalverError
from salver.server import reading
from salver.server.problems import status_of
from salver.server.settings import Limits
from salver.server.tensors import datatype_of, read, write
from salver.types.signature import Column, Columns, Output, rows_of

MATRIX = "X"
IDS = "prediction_id"
"""An output of every model, given only where it is asked for: the ids under which the rows are logged."""


class _Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: Any = UNSET


class _Asked(msgspec.Struct):
    name: str


class _Infer(msgspec.Struct):
    inputs: list[_Input]
    outputs: list[_Asked] | None = None
    id: str | UnsetType = UNSET
    parameters: dict[str, Any] | None = None


class _Metadata(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]


class _Output(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    data: list[Any]


class _Answer(msgspec.Struct):
    model_name: str
    model_version: str
    outputs: list[_Output]
    id: str | UnsetType = UNSET


class Question(msgspec.Struct):
    """A decoded and checked request."""

    columns: Columns
    count: int
    outputs: list[str]
    id: str | UnsetType


class Codec:
    """Reads questions for one model and writes its answers."""

    def __init__(self, lane: Lane, limits: Limits) -> None:
        self.lane = lane
        self._limits = limits
        model, signature = lane.model, lane.model.signature
        self._name, self._version = model.name, str(model.version)
        self._checker = model.checker
        self._columns = {column.name: column for column in signature.columns}
        self._outputs = {output.name: output for output in signature.outputs}
        # A model with a task is fed rows of columns; one without is fed the tensors that it declares.
        self._tabular = signature.task != "generic" and not any(column.shape for column in signature.columns)

    def metadata(self, versions: list[str]) -> dict[str, Any]:
        """The answer to GET /v2/models/{name}."""
        manifest = self.lane.model.manifest
        if self._tabular and all(column.is_number for column in self._columns.values()):
            inputs = [_Metadata(MATRIX, "FP64", [-1, len(self._columns)])]
        else:
            inputs = [_metadata(column) for column in self._columns.values()]
        return {
            "name": self._name,
            "versions": versions,
            "platform": f"salver_{manifest.runtime.kind}",
            "inputs": msgspec.to_builtins(inputs),
            "outputs": msgspec.to_builtins([_metadata(output) for output in self._outputs.values()]),
        }

    def question(self, body: bytes) -> Question:
        """Decode and check a body. Raises InputError, which says what is wrong and never repeats what was sent."""
        try:
            asked = reading.read(_decoder, body, self._limits)
            reading.require_columns(len(asked.inputs), self._limits)
            columns = self._checker.check_columns(self._by_column(asked.inputs))
            reading.require_rows(rows_of(columns), self._limits)
            return Question(columns, rows_of(columns), self._named_outputs(asked.outputs), asked.id)
        except InputError as error:
            self.lane.stats.errors[error.code] += 1
            raise

    def answer(self, question: Question, batch: Batch, start: int) -> bytes:
        """The body that answers `question` with the outputs of `batch` from row `start` on."""
        rows = slice(start, start + question.count)
        outputs = [self._output(name, batch, rows) for name in question.outputs]
        return _encode(_Answer(self._name, self._version, outputs, question.id))

    def _by_column(self, inputs: list[_Input]) -> Columns:
        if not inputs:
            raise InputError('"inputs" must have at least one tensor', code="invalid_body")
        names = [tensor.name for tensor in inputs]
        if len(set(names)) < len(names):
            raise InputError("an input is given twice", code="invalid_body")
        if self._tabular and len(inputs) == 1 and names[0] not in self._columns:
            return self._split(_read(inputs[0], MATRIX))
        self._check_names(names)
        return {tensor.name: self._column(tensor) for tensor in inputs}

    def _split(self, matrix: NDArray[Any]) -> Columns:
        width = len(self._columns)
        if matrix.ndim != 2 or matrix.shape[1] != width:
            raise InputError(
                f"unexpected shape for input '{MATRIX}' for model '{self._name}'. Expected [-1,{width}]", code="wrong_width"
            )
        return {name: matrix[:, i] for i, name in enumerate(self._columns)}

    def _check_names(self, names: list[str]) -> None:
        unexpected = sum(name not in self._columns for name in names)
        missing = [name for name in self._columns if name not in names]
        if not unexpected and not missing:
            return
        raise InputError(
            f"expected {len(self._columns)} inputs but got {len(names)} inputs for model '{self._name}': "
            f"{unexpected} unexpected, missing required input(s) {missing}",
            code="missing_column" if missing else "unknown_column",
        )

    def _column(self, tensor: _Input) -> NDArray[Any]:
        column = self._columns[tensor.name]
        array = _read(tensor, column.name)
        wanted = datatype_of(column)
        if not self._tabular and tensor.datatype != wanted:
            raise InputError(
                f"inference input '{column.name}' data-type is '{tensor.datatype}', "
                f"but model '{self._name}' expects '{wanted}'",
                code="wrong_type",
                column=column.name,
            )
        if not column.shape and array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if column.dtype == "string" and column.shape and None in array.reshape(-1).tolist():
            raise InputError(f"input '{column.name}': its data has an element that is no BYTES", code="missing_value")
        return array

    def _named_outputs(self, asked: list[_Asked] | None) -> list[str]:
        if not asked:
            return list(self._outputs)
        names = [output.name for output in asked]
        if any(name not in self._outputs and name != IDS for name in names):
            raise InputError(
                f"unexpected inference output for model '{self._name}'; it gives {list(self._outputs)}", code="invalid_body"
            )
        if len(set(names)) < len(names):
            raise InputError("an output is asked for twice", code="invalid_body")
        return names

    def _output(self, name: str, batch: Batch, rows: slice) -> _Output:
        if name == IDS:
            ids = batch.ids[rows]
            return _Output(IDS, "BYTES", [len(ids)], ids)
        output, array = self._outputs[name], batch.arrays[name][rows]
        datatype = datatype_of(output)
        if output.classes is None:
            return _Output(name, datatype, list(array.shape), write(datatype, array))
        labels = np.array(batch.outputs[name][rows], dtype=object)
        return _Output(name, datatype, list(array.shape), write(datatype, labels))


def error_body(error: SalverError) -> bytes:
    """An error as V2 clients expect it."""
    return _encode({"error": error.message})


def error_status(error: SalverError) -> int:
    """The protocol has one status for whatever the caller did wrong."""
    return 400 if isinstance(error, InputError) else status_of(error)


_decoder = msgspec.json.Decoder(_Infer)
_encode = msgspec.json.Encoder().encode


def _read(tensor: _Input, name: str) -> NDArray[Any]:
    if tensor.data is UNSET:
        raise InputError(f"input '{name}' has no \"data\"", code="invalid_body", column=name)
    return read(name, tensor.datatype, tensor.shape, tensor.data)


def _metadata(declared: Column | Output) -> _Metadata:
    return _Metadata(declared.name, datatype_of(declared), [-1, *declared.shape])
