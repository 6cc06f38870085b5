"""Tensors as the Open Inference Protocol writes them: datatypes, shapes, and their elements in JSON ↔ arrays. Pure."""

from __future__ import annotations

import math
from itertools import chain
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from salver.errors import InputError
from salver.types.signature import Column, Output

NUMPY: dict[str, type[np.generic]] = {
    "BOOL": np.bool_,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}
"""The protocol's datatypes as arrays hold them. BF16 is left out: it is read from bytes alone, and becomes float32."""

_DATATYPES = {np.dtype(kind).name: datatype for datatype, kind in NUMPY.items()} | {"string": "BYTES"}
_KINDS = {bool: "BOOL", int: "INT64", float: "FP64"}
# What an element may be in JSON, by the kind of its datatype.
_ELEMENTS: dict[str, frozenset[type]] = {
    "b": frozenset((bool,)),
    "i": frozenset((int,)),
    "u": frozenset((int,)),
    "f": frozenset((int, float, type(None))),
    "O": frozenset((str, type(None))),
}


class Tensor(NamedTuple):
    """A named array with the datatype under which it goes over the wire."""

    name: str
    datatype: str
    array: NDArray[Any]


def datatype_of(declared: Column | Output) -> str:
    """The datatype of an input or output: of its labels where it has them."""
    if isinstance(declared, Column):
        labels: Any = declared.categories if declared.dtype == "category" else None
    else:
        labels = declared.classes
        if declared.is_multilabel:
            labels = tuple(chain.from_iterable(labels))
    if labels is None:
        return _DATATYPES.get(declared.dtype, "BYTES")
    kinds: set[type[Any]] = {type(label) for label in labels}
    if kinds == {int, float}:
        return "FP64"
    return _KINDS.get(kinds.pop(), "BYTES") if len(kinds) == 1 else "BYTES"


def read(name: str, datatype: str, shape: list[int], data: Any) -> NDArray[Any]:
    """The array that input `name`'s JSON means. Raises InputError."""
    if datatype in ("FP16", "BF16"):
        raise InputError(f"input '{name}': receiving {datatype} data via JSON is not supported", code="wrong_type", column=name)
    dtype = dtype_of(name, datatype)
    check_shape(name, shape)
    if not isinstance(data, list):
        raise InputError(f"input '{name}': its \"data\" must be a list", code="invalid_body", column=name)
    values = _flattened(name, cast("list[Any]", data), shape)
    if not _ELEMENTS[dtype.kind].issuperset(map(type, values)):
        raise InputError(f"input '{name}': its data has an element that is no {datatype}", code="wrong_type", column=name)
    return array_of_elements(name, datatype, dtype, shape, values)


def array_of_elements(name: str, datatype: str, dtype: np.dtype[Any], shape: list[int], values: list[Any]) -> NDArray[Any]:
    """Elements in row-major order, as many as the shape says, as an array. Raises InputError."""
    try:
        return _array(values, dtype).reshape(shape)
    except OverflowError:
        raise InputError(f"input '{name}': an element is outside {datatype}'s range", code="wrong_type", column=name) from None
    except ValueError:  # an empty tensor can still have a shape that no array has
        raise disagreement(name) from None


def dtype_of(name: str, datatype: str) -> np.dtype[Any]:
    """The dtype of input `name`'s array. Raises InputError."""
    kind = NUMPY.get(datatype)
    if kind is None:
        raise InputError(f"input '{name}': its datatype is none of {', '.join(NUMPY)}", code="wrong_type", column=name)
    return np.dtype(kind)


def check_shape(name: str, shape: list[int]) -> None:
    """Raises InputError for a shape that no tensor of rows has."""
    if not shape or min(shape) < 0:
        raise InputError(f"input '{name}': a shape has the number of rows first and nothing negative", code="wrong_shape")


def write(datatype: str, values: NDArray[Any]) -> list[Any]:
    """An output's elements in row-major order, as JSON has them. Raises InputError for FP16."""
    if datatype == "FP16":
        raise InputError("an FP16 output can't be sent as JSON; ask for other outputs", code="wrong_type")
    flat = values.reshape(-1)
    if datatype == "FP32":
        # The shortest decimal that reads back as the same float32, and not as the double it would widen to.
        flat = flat.astype(np.str_).astype(np.float64)
    elif datatype == "BYTES":
        return [None if value is None else str(value) for value in flat.tolist()]
    return flat.tolist()


def _flattened(name: str, data: list[Any], shape: list[int]) -> list[Any]:
    """Row-major elements of data that is flat already or nested as `shape` says. Raises InputError."""
    if data and type(data[0]) is list:
        if len(data) != shape[0]:
            raise disagreement(name)
        for size in shape[1:]:
            if not all(type(part) is list and len(part) == size for part in data):
                raise disagreement(name)
            data = list(chain.from_iterable(data))
    if len(data) != math.prod(shape):
        raise disagreement(name)
    return data


def disagreement(name: str) -> InputError:
    """The refusal of data that are not what their shape says."""
    return InputError(f"input '{name}': its shape and its data do not agree", code="wrong_shape", column=name)


def _array(values: list[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind == "O":
        made = np.empty(len(values), dtype=object)
        made[:] = values
        return made
    if dtype != np.float32:
        return np.array(values, dtype=dtype)
    wide = np.array(values, dtype=np.float64)
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    if (np.isinf(narrow) & np.isfinite(wide)).any():
        raise OverflowError
    return narrow
