"""What a model takes and gives: ordered columns in, named outputs out."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from salver.errors import InputError

Label = str | int | float | bool
"""A class as the trained model names it."""

Columns = dict[str, NDArray[Any]]
"""Named arrays with rows along the first axis: what a runtime takes and gives."""

DType = Literal[
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
    "category",
    "string",
]

Task = Literal["classification", "regression", "clustering", "outlier", "transform", "generic"]


ANY_SHAPE = (-2,)
"""The `shape` of a tensor that may have any number of axes of any length, which are the same for all rows of a request."""

Policy = Literal["error", "warn", "null"]
"""What becomes of a value that does not fit: refused; let through and flagged in the log; taken as missing."""


class Column(msgspec.Struct, frozen=True, omit_defaults=True):
    """One input of a model.

    `dtype` "category" is a value out of `categories` (coded by its place there when a graph takes numbers), "string" is free
    text, "float32" means that the model itself works on float32, so that larger values count as infinite.
    `shape` is that of one row's value: `()` a scalar, `-1` any length, ANY_SHAPE any shape. `low` and `high` are the range that
    training saw. A policy that is None leaves it to the model: what it takes is taken, what it does not is refused; a category
    that training did not see and a number out of range are flagged where they are taken.
    """

    name: str
    dtype: DType = "float64"
    shape: tuple[int, ...] = ()
    nullable: bool = False  # a missing value (null, NaN) is legal
    infinite: bool = False  # ±infinity is legal
    categories: tuple[Label, ...] | None = None
    unseen: bool = False  # a category that training did not see is legal
    low: float | None = None
    high: float | None = None
    on_missing: Policy | None = None
    on_unseen: Policy | None = None
    on_wrong_type: Policy | None = None
    on_out_of_range: Policy | None = None

    @property
    def has_range(self) -> bool:
        return (self.low is not None or self.high is not None) and self.is_number and not self.shape

    @property
    def is_number(self) -> bool:
        return self.dtype not in ("category", "string")


class Output(msgspec.Struct, frozen=True, omit_defaults=True):
    """One output of a model. With `classes`, the runtime gives indices (int64) into them.

    `shape` is that of one row's value. An output with several labels a row (shape `(k,)`) has a tuple of classes for each.
    """

    name: str
    dtype: DType = "float64"
    shape: tuple[int, ...] = ()
    classes: tuple[Label | tuple[Label, ...], ...] | None = None

    @property
    def is_multilabel(self) -> bool:
        return self.classes is not None and bool(self.shape)


class Signature(msgspec.Struct, frozen=True, omit_defaults=True):
    """The ordered columns a model takes and the outputs it gives.

    A tabular model's outputs are `prediction` and, where it has them, `probabilities` (float64, one a class, in the order of
    the classes of `prediction`) or `scores` (its decision function).
    """

    columns: tuple[Column, ...]
    outputs: tuple[Output, ...]
    task: Task = "generic"
    named: bool = False  # the columns' names come from training; else they are x0, x1, …
    on_unknown: Policy | None = None  # columns that the model does not have; None refuses them, "null" says nothing of them

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def output(self, name: str) -> Output | None:
        return next((output for output in self.outputs if output.name == name), None)

    @property
    def prediction(self) -> Output:
        """The output a caller asks for first."""
        return self.output("prediction") or self.outputs[0]


def concatenate(parts: list[Columns]) -> Columns:
    """The rows of `parts`, in order, as one. Each part has the same names; raises InputError when shapes do not agree."""
    if len(parts) == 1:
        return parts[0]
    try:
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    except ValueError as error:
        raise InputError("rows of different shapes can't be put together; send them in requests of their own") from error


def rows_of(columns: Columns) -> int:
    """How many rows the arrays hold."""
    return len(next(iter(columns.values())))


def take(columns: Columns, rows: slice) -> Columns:
    """Those rows of every array."""
    return {name: array[rows] for name, array in columns.items()}
