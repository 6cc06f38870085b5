"""The same rows from every kind of table are the same arrays."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from salver import tables
from salver.errors import InputError
from salver.types.signature import Column, Columns, Signature

NAMES = ("whole", "number", "flag", "text", "sort", "when")
ROWS: list[tuple[Any, ...]] = [
    (1, 0.5, True, "a", "low", dt.datetime(2024, 1, 31, 12)),
    (2, 1.5, False, "b", "high", dt.datetime(2024, 2, 1)),
    (3, -2.0, True, "c", "low", dt.datetime(2024, 2, 2)),
]
GAPS = [*ROWS, (None,) * len(NAMES)]
SORTS = ["low", "middle", "high"]


def by_column(rows: list[tuple[Any, ...]]) -> dict[str, list[Any]]:
    return {name: [row[i] for row in rows] for i, name in enumerate(NAMES)}


def pandas_of(rows: list[tuple[Any, ...]]) -> Any:
    frame = pd.DataFrame(by_column(rows))
    return frame.assign(sort=pd.Categorical(frame["sort"], categories=SORTS))


def pandas_nullable(rows: list[tuple[Any, ...]]) -> Any:
    return pandas_of(rows).convert_dtypes()


def pandas_arrow(rows: list[tuple[Any, ...]]) -> Any:
    return arrow_of(rows).to_pandas(types_mapper=pd.ArrowDtype)


def polars_of(rows: list[tuple[Any, ...]]) -> Any:
    return pl.DataFrame(by_column(rows), schema_overrides={"sort": pl.Enum(SORTS)})


def polars_lazy(rows: list[tuple[Any, ...]]) -> Any:
    return polars_of(rows).lazy()


def arrow_of(rows: list[tuple[Any, ...]]) -> Any:
    table = pa.table(by_column(rows))
    places = [None if sort is None else SORTS.index(sort) for sort in by_column(rows)["sort"]]
    sort = pa.DictionaryArray.from_arrays(pa.array(places, pa.int32()), pa.array(SORTS))
    return table.set_column(NAMES.index("sort"), "sort", sort)


def arrow_batch(rows: list[tuple[Any, ...]]) -> Any:
    return arrow_of(rows).combine_chunks().to_batches()[0]


class Stream:
    """Somebody else's table that can be read as Arrow."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._table.__arrow_c_stream__(requested_schema)


def stream_of(rows: list[tuple[Any, ...]]) -> Any:
    return Stream(arrow_of(rows))


def dicts_of(rows: list[tuple[Any, ...]]) -> Any:
    return [dict(zip(NAMES, row, strict=True)) for row in rows]


KEEPING = [pandas_of, pandas_nullable, polars_of, polars_lazy, arrow_of, arrow_batch, stream_of, pandas_arrow]
SOURCES = [*KEEPING, dicts_of, by_column]


def listed(columns: Columns) -> dict[str, tuple[str, list[Any]]]:
    return {name: (array.dtype.kind, array.tolist()) for name, array in columns.items()}


@pytest.mark.parametrize("source", SOURCES)
def test_whole_rows(source: Any) -> None:
    assert listed(tables.read(source(ROWS))) == {
        "whole": ("i", [1, 2, 3]),
        "number": ("f", [0.5, 1.5, -2.0]),
        "flag": ("b", [True, False, True]),
        "text": ("O", ["a", "b", "c"]),
        "sort": ("O", ["low", "high", "low"]),
        "when": ("O", ["2024-01-31T12:00:00", "2024-02-01T00:00:00", "2024-02-02T00:00:00"]),
    }


@pytest.mark.parametrize("source", SOURCES)
def test_missing_values(source: Any) -> None:
    read = tables.read(source(GAPS))
    assert read["whole"].dtype == np.float64
    assert math.isnan(read["whole"][3])
    assert math.isnan(read["number"][3])
    assert [read[name].tolist()[3] for name in ("flag", "text", "sort", "when")] == [None] * 4
    assert read["flag"].tolist()[:3] == [True, False, True]


@pytest.mark.parametrize("source", KEEPING)
def test_categories_are_kept(source: Any) -> None:
    if source is pandas_arrow:
        pytest.skip("pandas shows Arrow's dictionaries as values")
    assert tables.categories(source(GAPS)) == {"sort": ("low", "middle", "high")}


def test_categories_of_polars_are_those_of_the_column() -> None:
    pl.Series(["elsewhere"], dtype=pl.Categorical)
    frame = pl.DataFrame({"k": pl.Series(["a", "b", None, "a"], dtype=pl.Categorical)})
    assert tables.categories(frame) == {"k": ("a", "b")}


def test_whole_numbers_that_a_float_cannot_hold_stay_whole() -> None:
    assert tables.read({"a": [2**60 + 1, None]})["a"].tolist() == [2**60 + 1, None]
    assert tables.read({"a": [2**63]})["a"].dtype == np.uint64
    assert tables.read({"a": [2**70]})["a"].tolist() == [2**70]


def test_decimals_and_spans_are_numbers() -> None:
    values: list[Any] = [Decimal("1.25"), None]
    for table in (pd.DataFrame({"a": values}), pa.table({"a": values}), pl.DataFrame({"a": values}), {"a": values}):
        read = tables.read(table)["a"]
        assert read.dtype == np.float64
        assert read[0] == 1.25
    assert tables.read({"a": [dt.timedelta(minutes=1)]})["a"].tolist() == [60.0]
    assert tables.read(pd.DataFrame({"a": pd.to_timedelta(["1min", None])}))["a"].tolist()[0] == 60.0


def test_dates_and_zones() -> None:
    assert tables.read({"a": [dt.date(2024, 1, 31)]})["a"].tolist() == ["2024-01-31"]
    stamps = pd.DataFrame({"a": pd.to_datetime(["2024-01-31T12:00"]).tz_localize("UTC")})
    assert tables.read(stamps)["a"].tolist() == ["2024-01-31T12:00:00+00:00"]
    assert tables.read(np.array([["2024-01-31"]], dtype="datetime64[D]"))["x0"].tolist() == ["2024-01-31T00:00:00"]


def test_lists_are_tensors() -> None:
    for table in (pa.table({"a": [[1.0, 2.0], [3.0, 4.0]]}), pl.DataFrame({"a": [[1.0, 2.0], [3.0, 4.0]]})):
        assert tables.read(table)["a"].tolist() == [[1.0, 2.0], [3.0, 4.0]]


NAMED = Signature((Column("a"), Column("b")), (), named=True)
UNNAMED = Signature((Column("x0"), Column("x1")), ())
ONE = Signature((Column("x0"),), ())
IMAGE = Signature((Column("image", "float32", (2, 2)),), ())


@pytest.mark.parametrize(
    "data",
    [
        np.array([[1.0, 2.0]]),
        np.array([1.0, 2.0]),
        [[1.0, 2.0]],
        [1.0, 2.0],
        (1.0, 2.0),
        [{"b": 2.0, "a": 1.0}],
        {"b": 2.0, "a": 1.0},
        {"a": [1.0], "b": [2.0]},
        {"a": np.array([1.0]), "b": np.array([2.0])},
        pd.DataFrame({"b": [2.0], "a": [1.0]}),
        pd.DataFrame([[1.0, 2.0]]),
        pd.Series({"b": 2.0, "a": 1.0}),
        np.array([(1.0, 2.0)], dtype=[("a", "f8"), ("b", "f8")]),
    ],
    ids=lambda data: type(data).__name__,
)
def test_by_name_or_by_position(data: Any) -> None:
    read = tables.read(data, NAMED)
    assert {name: array.tolist() for name, array in read.items()} == {"a": [1.0], "b": [2.0]}


def test_other_names_than_a_model_without_any_go_by_position() -> None:
    assert list(tables.read(pd.DataFrame({"p": [1.0], "q": [2.0]}), UNNAMED)) == ["x0", "x1"]
    assert list(tables.read(pd.DataFrame({"p": [1.0], "q": [2.0]}), NAMED)) == ["p", "q"]


def test_one_column() -> None:
    for data in (
        [1.0, 2.0],
        np.array([1.0, 2.0]),
        pd.Series([1.0, 2.0]),
        pl.Series([1.0, 2.0]),
        pa.chunked_array([[1.0, 2.0]]),
    ):
        assert tables.read(data, ONE)["x0"].tolist() == [1.0, 2.0]


def test_tensors_alone() -> None:
    image = [[1.0, 2.0], [3.0, 4.0]]
    for data in (np.array([image]), np.array(image), [image], {"image": image}, {"image": np.array([image])}):
        assert tables.read(data, IMAGE)["image"].tolist() == [image]


def test_sparse_matrices() -> None:
    from scipy.sparse import csr_matrix

    assert tables.read(csr_matrix([[1.0, 0.0]]), UNNAMED)["x1"].tolist() == [0.0]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (3, "wrong_type"),
        ("text", "wrong_type"),
        (np.zeros((1, 3)), "wrong_width"),
        (np.zeros((1, 2, 2)), "wrong_shape"),
        ([1.0, 2.0, 3.0], "wrong_width"),
        ([[1.0], [1.0, 2.0]], "wrong_width"),
        ({"a": [object()]}, "wrong_type"),
        ({"a": [[1.0], [1.0, 2.0]], "b": [[1.0], [1.0]]}, "wrong_shape"),
        (np.array([[1j, 2j]]), "wrong_type"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "unknown_column"),
    ],
    ids=lambda data: type(data).__name__,
)
def test_what_is_no_table(data: Any, code: str) -> None:
    with pytest.raises(InputError) as refused:
        tables.read(data, NAMED if isinstance(data, dict) else UNNAMED)
    assert refused.value.code == code


def test_no_rows() -> None:
    assert {name: len(array) for name, array in tables.read([], NAMED).items()} == {"a": 0, "b": 0}
    assert len(tables.read(pd.DataFrame({"a": [], "b": []}), NAMED)["a"]) == 0
