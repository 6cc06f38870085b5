"""Encoders and imputers.

An encoder treats each value by itself, so its lowering is a table a column: what it answered when it was asked each category,
a missing value and one it has never seen. That holds for every encoder and all its options.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from salver.errors import LoweringError
from salver.frameworks.sklearn import NEVER_SEEN, dense
from salver.lower.arithmetic import add, number, sub, where
from salver.lower.converters import transformer
from salver.lower.graph import Graph, Value
from salver.lower.rows import Landmarks, landmarks_of

_NUMBER_NEVER_SEEN = -987_654_321.0


@dataclass(frozen=True)
class _Column:
    """What an encoder makes of one column: `table` has a row for each of `values`, then a missing one, then one never seen."""

    values: list[Any]
    table: NDArray[np.float64]
    coded: bool  # the graph is given codes of the values, not the values

    @property
    def compared(self) -> NDArray[np.float64]:
        """The values as the graph meets them."""
        return np.arange(len(self.values), dtype=np.float64) if self.coded else np.array(self.values, dtype=np.float64)

    @property
    def hot(self) -> NDArray[np.float64]:
        """Which output is 1, a row of the table; -1 for none."""
        ones = self.table == 1
        return np.where(ones.any(axis=1), ones.argmax(axis=1), -1.0)


@transformer("sklearn", "OneHotEncoder", "OrdinalEncoder", "TargetEncoder")
def encoder(model: Any, x: Value, g: Graph) -> Value:
    columns = [_column(model, i, codes) for i, codes in enumerate(x.categories)]
    if type(model).__name__ == "OneHotEncoder":
        return _switches(columns, x, g)
    made = _looked_up([column.table for column in columns], columns, x, g)
    width = sum(column.table.shape[1] for column in columns)
    return g.op("Reshape", made, g.const([-1, width], np.int64), width=width)


def _column(model: Any, i: int, codes: tuple[Any, ...] | None) -> _Column:
    values = list(codes) if codes is not None else _known(model, i)
    return _Column(values, answers(model, i, values), codes is not None)


def _switches(columns: list[_Column], x: Value, g: Graph) -> Value:
    """One-hot: each output is 1 where its column holds the output's value."""
    wanted = [np.full(column.table.shape[1], np.nan) for column in columns]
    for column, mine in zip(columns, wanted, strict=True):
        alone = np.flatnonzero((column.table[:-2] == 1).any(axis=1))
        mine[column.hot[alone].astype(int)] = column.compared[alone]
    if any(_is_grouped(column) for column in columns):
        # An output stands for several values: first each value becomes the place of its output.
        places = _looked_up([column.hot[:, None] for column in columns], columns, x, g)
        x = g.op("Squeeze", places, g.const([2], np.int64), width=x.width)
        wanted = [np.arange(len(mine), dtype=np.float64) for mine in wanted]
    table = _padded(wanted)
    held = g.op("Unsqueeze", x, g.const([2], np.int64))
    every = number(g, g.op("Equal", held, g.const(table)))
    flat = g.op("Reshape", every, g.const([-1, table.size], np.int64), width=table.size)
    outputs = np.arange(table.shape[1]) < np.array([[len(mine)] for mine in wanted])
    return g.columns(flat, np.flatnonzero(outputs).tolist())


def _is_grouped(column: _Column) -> bool:
    """Whether an output stands for more than one value, or for missing or unseen ones."""
    hot = column.hot[column.hot >= 0]
    return len(np.unique(hot)) < len(hot) or bool((column.hot[-2:] >= 0).any())


def _looked_up(tables: list[NDArray[np.float64]], columns: list[_Column], x: Value, g: Graph) -> Value:
    """The row of each column's table for what it holds, (rows, columns, width of the tables): one Gather for all of them."""
    # The row for one never seen goes first, which is where its code, -1, leads.
    stacked = np.concatenate([np.roll(table, 1, axis=0) for table in tables])
    ends = np.cumsum([len(table) for table in tables]).astype(np.float64)
    starts = np.concatenate([[0.0], ends[:-1]])
    place = where(g, g.op("IsNaN", x, width=x.width), ends - 1, add(g, _codes(columns, x, g), starts + 1))
    return g.op("Gather", g.const(stacked), g.cast(place, np.int64), axis=0)


def _codes(columns: list[_Column], x: Value, g: Graph) -> Value:
    """Values as codes, -1 for one never seen, where the signature has not coded them already."""
    if all(column.coded for column in columns):
        return x
    table = _padded([[] if column.coded else column.compared for column in columns])
    held = g.op("Unsqueeze", x, g.const([2], np.int64))
    found = number(g, g.op("Equal", held, g.const(table)))
    # At most one of them is 1: the product counts from 1, and 0 is none.
    codes = sub(g, g.op("MatMul", found, g.const(np.arange(1.0, table.shape[1] + 1)), width=x.width), 1.0)
    return where(g, np.array([column.coded for column in columns]), x, codes)


def _padded(rows: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """Rows of different lengths as one table, filled up with NaN, which equals nothing."""
    made = np.full((len(rows), max(1, *(np.size(row) for row in rows))), np.nan)
    for row, values in zip(made, rows, strict=True):
        row[: np.size(values)] = values
    return made


def _known(model: Any, i: int) -> list[Any]:
    known = [value for value in np.asarray(model.categories_[i]).tolist() if not _is_missing(value)]
    if any(isinstance(value, str) for value in known):
        raise LoweringError("text is made inside the model")
    return known


def answers(model: Any, i: int, values: Sequence[Any]) -> NDArray[np.float64]:
    """What the encoder makes of each value of its column i, of a missing one and of one never seen: (values + 2, outputs)."""
    start, stop = _block(model, i)
    text = any(isinstance(value, str) for value in np.asarray(model.categories_[i]).tolist())
    missing = None if any(value is None for value in np.asarray(model.categories_[i]).tolist()) else np.nan
    strange = NEVER_SEEN if text else _NUMBER_NEVER_SEEN
    rows = [_asked(model, i, value, start, stop) for value in (*values, missing, strange)]
    return np.stack(rows)


def _asked(model: Any, i: int, value: Any, start: int, stop: int) -> NDArray[np.float64]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may warn of what it has never seen, which is what it is asked
        try:
            return dense(model.transform(_row(model, i, value)))[0, start:stop].astype(np.float64)
        except ValueError:  # it refuses this value, and so does the signature: no row will ask for it
            return np.full(stop - start, np.nan)


def _row(model: Any, i: int, value: Any) -> Any:
    """A row with `value` in column i and something known in the others, as the encoder was trained."""
    row = [value if k == i else np.asarray(known).tolist()[0] for k, known in enumerate(model.categories_)]
    names = getattr(model, "feature_names_in_", None)
    objects = any(np.asarray(known).dtype.kind in "OUS" for known in model.categories_)
    if names is None:
        return np.array([row], dtype=object if objects else np.float64)
    pandas: Any = import_module("pandas")
    kinds = [object if np.asarray(known).dtype.kind in "OUS" else np.float64 for known in model.categories_]
    return pandas.DataFrame({name: pandas.Series([v], dtype=kind) for name, v, kind in zip(names, row, kinds, strict=True)})


def _block(model: Any, i: int) -> tuple[int, int]:
    """Which output columns come from input column i."""
    widths = [_outputs(model, k) for k in range(len(model.categories_))]
    start = sum(widths[:i])
    return start, start + widths[i]


def _outputs(model: Any, i: int) -> int:
    kind = type(model).__name__
    if kind == "OrdinalEncoder":
        return 1
    if kind == "TargetEncoder":
        return len(model.classes_) if model.target_type_ == "multiclass" else 1
    rare = getattr(model, "infrequent_categories_", None)
    grouped = len(rare[i]) - 1 if rare is not None and rare[i] is not None else 0
    dropped = model.drop_idx_ is not None and model.drop_idx_[i] is not None
    return len(model.categories_[i]) - grouped - int(dropped)


@landmarks_of("sklearn", "OneHotEncoder", "OrdinalEncoder", "TargetEncoder")
def encoder_landmarks(model: Any, landmarks: Landmarks) -> None:
    for i, known in enumerate(model.categories_):
        if np.asarray(known).dtype.kind in "iuf":
            landmarks.add(i, known)


@transformer("sklearn", "SimpleImputer")
def imputer(model: Any, x: Value, g: Graph) -> Value:
    missing = _missing(model.missing_values, x, g)
    fills = np.asarray(model.statistics_)
    gone = [not model.keep_empty_features and _is_missing(fill) for fill in fills.tolist()]
    made = _filled(x, missing, fills, g)
    made.categories = list(x.categories)
    parts = [g.columns(made, [i for i, dropped in enumerate(gone) if not dropped])]
    if model.add_indicator:
        parts.append(number(g, g.columns(missing, model.indicator_.features_.tolist())))
    return g.concat([part for part in parts if part.width])


def _filled(x: Value, missing: Value, fills: NDArray[Any], g: Graph) -> Value:
    """Each missing value replaced: numbers by numbers, codes by the code of what replaces them."""
    places = [fill if known is None else _place(fill, known) for fill, known in zip(fills.tolist(), x.categories, strict=True)]
    if all(known is None for known in x.categories) and any(isinstance(fill, str) for fill in places):
        raise LoweringError("it puts text in place of numbers")
    return where(g, missing, np.array([np.nan if fill is None else fill for fill in places], dtype=np.float64), x)


def _place(fill: Any, known: tuple[Any, ...]) -> float:
    if _is_missing(fill):
        return np.nan
    if fill not in known:
        raise LoweringError("it puts a category in place of missing ones that nothing after it knows")
    return float(known.index(fill))


def _missing(marker: Any, x: Value, g: Graph) -> Value:
    if marker is None or marker != marker or all(known is not None for known in x.categories):
        if isinstance(marker, str):
            raise LoweringError("a category stands for missing values")
        return g.op("IsNaN", x, width=x.width)
    return g.op("Equal", x, g.const(np.float64(marker)), width=x.width)


@transformer("sklearn", "MissingIndicator")
def indicator(model: Any, x: Value, g: Graph) -> Value:
    missing = _missing(model.missing_values, x, g)
    return number(g, g.columns(missing, model.features_.tolist()))


@landmarks_of("sklearn", "SimpleImputer")
def imputer_landmarks(model: Any, landmarks: Landmarks) -> None:
    fills = np.asarray(model.statistics_)
    for i, fill in enumerate(fills.tolist()):
        if isinstance(fill, int | float):
            landmarks.add(i, [fill])
        if isinstance(model.missing_values, int | float):
            landmarks.add(i, [model.missing_values])


def _is_missing(value: Any) -> bool:
    return value is None or value != value
