"""Rows that a model was tried on, as its trainer has them: what they tell of its columns, and what it must answer to them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from salver import tables
from salver.errors import InputError
from salver.frameworks.hints import Hints
from salver.types.checks import is_missing
from salver.types.rows import RowChecker
from salver.types.signature import Column, Columns, Label, Output, Policy, Signature, rows_of

Policies = Mapping[str, Mapping[str, Policy]]
"""By column, "*" for all: {"age": {"out_of_range": "error"}}."""

_KINDS = ("missing", "unseen", "wrong_type", "out_of_range")
_CATEGORIES = 1000  # more different texts than this are text, not categories
PROVEN = 2000
"""So many rows of a sample are proof rows; more tell little that these do not."""


class Sample:
    """Rows in whatever kind of table they came, with the labels where there are some."""

    def __init__(self, data: Any, labels: Any = None) -> None:
        """`data` is a table or the path of a file of one; `labels` are values, a path, or the name of a column.

        Raises InputError for what is no table.
        """
        self._path = Path(data) if isinstance(data, str | Path) else None
        self.data = None if self._path else data
        self._raw = tables.read_file(self._path) if self._path else tables.read(data)
        self._label_name = labels if isinstance(labels, str) and labels in self._raw else ""
        if not rows_of(self._raw):
            raise InputError("the sample has no rows", code="invalid_input")
        self._labels = self._raw[self._label_name] if self._label_name else _labels(labels)
        if self._labels is not None and len(self._labels) != rows_of(self._raw):
            raise InputError(f"there are {rows_of(self._raw)} rows and {len(self._labels)} labels", code="wrong_shape")

    def hints(self, exact: bool) -> Hints:
        """What the sample says of its columns; `exact` also says which are whole numbers, and which true and false."""
        declared = {} if self._path else tables.categories(self.data)
        made = {name: _hint(name, array, declared.get(name), exact) for name, array in self._raw.items()}
        return {name: hint for name, hint in made.items() if hint is not None and name != self._label_name}

    def shown(self, signature: Signature) -> Hints:
        """What the columns hold of which the model knows nothing, since it uses none of it."""
        unused = [column.name for column in signature.columns if column.dtype == "category" and column.categories == ()]
        told = self.hints(exact=True)
        known = [(name, told.get(name, Column(name))) for name in unused if name in self._raw and self._raw[name].ndim == 1]
        return {name: Column(name) if hint.dtype == "int64" else hint for name, hint in known}

    @property
    def switches(self) -> set[str]:
        """The columns of nothing but true, false and missing values."""
        return {name for name, array in self._raw.items() if _is_switch(array)}

    def columns(self, signature: Signature) -> Columns:
        """The rows as the model takes them. Raises InputError for one that it does not take."""
        if self._label_name and not set(signature.names) & set(self._raw):  # by position, and the label has none
            rest = {name: array for name, array in self._raw.items() if name != self._label_name}
            read = tables.read(rest, signature)
        else:
            read = tables.read_file(self._path, signature) if self._path else tables.read(self.data, signature)
        if set(signature.names) <= set(read):  # others, as the label and the numbers of rows, are the trainer's own
            read = {name: read[name] for name in signature.names}
        return dict(RowChecker(signature).check_columns(read))

    def few(self, rows: int) -> tuple[Any, list[int]]:
        """Some rows as the trainer has them, without the label, and their numbers; None for rows in a file."""
        at = spread(rows_of(self._raw), rows)
        data = None if self._path else tables.pick(self.data, at)
        if data is not None and self._label_name:
            data = data.drop(columns=[self._label_name]) if hasattr(data, "iloc") else None
        return data, at

    def labels(self, prediction: Output) -> NDArray[Any] | None:
        """The labels as the model's outputs are: indices where it has classes. Raises InputError for one that is no class."""
        labels = self._labels
        if labels is None or prediction.classes is None:
            return labels
        if prediction.is_multilabel:
            classes: Any = prediction.classes
            return np.stack([_places(labels[:, k], classes[k]) for k in range(len(classes))], axis=1)
        return _places(labels.ravel(), prediction.classes)


def spread(total: int, count: int) -> list[int]:
    """`count` numbers of rows, or all, from the first to the last."""
    return np.unique(np.linspace(0, total - 1, min(total, count)).astype(int)).tolist()


def learnt(
    signature: Signature, columns: Columns, switches: set[str], policies: Policies | None, on_unknown: Policy | None
) -> Signature:
    """The signature with what a sample shows: the range seen, whether anything was missing, which numbers are true and false.

    Where the model takes a missing value and the sample has none, one is let through and flagged. Raises InputError for
    policies that make no sense.
    """
    given = policies or {}
    for name, wanted in given.items():
        if name != "*" and name not in signature.names:
            raise InputError("a policy is given for a column that the model does not have", code="unknown_column")
        if set(wanted) - set(_KINDS) or set(wanted.values()) - {"error", "warn", "null"}:
            raise InputError(f"a policy says error, warn or null for one of {', '.join(_KINDS)}", code="invalid_input")
    made = [
        _governed(
            _seen(column, columns[column.name], column.name in switches), {**given.get("*", {}), **given.get(column.name, {})}
        )
        for column in signature.columns
    ]
    return msgspec.structs.replace(signature, columns=tuple(made), on_unknown=on_unknown)


def _seen(column: Column, array: NDArray[Any], switch: bool) -> Column:
    if column.shape:
        return column
    if switch and column.is_number:
        column = msgspec.structs.replace(column, dtype="bool", infinite=False)
    gone = np.isnan(array) if array.dtype.kind == "f" else np.array([is_missing(value) for value in array.tolist()], bool)
    if column.nullable and not gone.any():
        column = msgspec.structs.replace(column, on_missing="warn")
    if not column.is_number or column.dtype == "bool":
        return column
    finite = array[np.isfinite(array)]
    return msgspec.structs.replace(column, low=float(finite.min()), high=float(finite.max())) if len(finite) else column


def _governed(column: Column, wanted: Mapping[str, Policy]) -> Column:
    return msgspec.structs.replace(column, **{f"on_{kind}": policy for kind, policy in wanted.items()})


def _hint(name: str, array: NDArray[Any], declared: tuple[Label, ...] | None, exact: bool) -> Column | None:
    if declared:
        return Column(name, "category", categories=declared)
    if array.ndim > 1 or array.dtype.kind == "f":
        return None
    if array.dtype.kind == "b":
        return Column(name, "bool") if exact else None
    if array.dtype.kind in "iu":
        known = _distinct(array.tolist())
        return Column(name, "int64" if exact else "float64", categories=known) if exact or known else None
    present = [value for value in array.tolist() if not is_missing(value)]
    if not all(isinstance(value, str) for value in present):
        kinds = {type(value) for value in present}
        return Column(name, "category", categories=_distinct(present)) if kinds == {bool} else None
    return Column(name, "string", categories=_distinct(present))


def _distinct(values: list[Any]) -> tuple[Label, ...] | None:
    found = set(values)
    return tuple(sorted(found)) if found and len(found) <= _CATEGORIES else None


def _is_switch(array: NDArray[Any]) -> bool:
    if array.dtype.kind == "b":
        return array.ndim == 1
    return array.dtype == object and {type(value) for value in array.tolist() if not is_missing(value)} == {bool}


def _labels(labels: Any) -> NDArray[Any] | None:
    if labels is None:
        return None
    if isinstance(labels, str | Path):
        read = tables.read_file(Path(labels))
    elif isinstance(labels, list | tuple) or getattr(labels, "ndim", 2) == 1:
        read = tables.read({"label": labels})
    else:
        read = tables.read(labels)
    arrays = list(read.values())
    return arrays[0] if len(arrays) == 1 else np.stack(arrays, axis=1)


def _places(labels: NDArray[Any], classes: tuple[Any, ...]) -> NDArray[np.int64]:
    places = {label: i for i, label in enumerate(classes)}
    listed = labels.tolist()
    if not places.keys() >= set(listed):
        # A file of text has no types: "1" there is the class 1.
        places, listed = {str(label): i for label, i in places.items()}, [str(label) for label in listed]
    try:
        return np.array([places[label] for label in listed], dtype=np.int64)
    except KeyError:
        raise InputError(
            f"the labels have a value that is none of the model's {len(classes)} classes", code="unseen_category"
        ) from None
