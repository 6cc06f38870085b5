"""Rows against a signature: by list, by name, by array, and all three the same."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salver.errors import InputError
from salver.types.rows import FLOAT32_MAX, UNSEEN, RowChecker
from salver.types.signature import ANY_SHAPE, Column, Columns, DType, Signature

_SECRET = "s3cr3t"


def checker(*columns: Column) -> RowChecker:
    return RowChecker(Signature(columns, ()))


def refusal(call: Any, *given: Any) -> InputError:
    with pytest.raises(InputError) as refused:
        call(*given)
    return refused.value


def outcome(call: Any, *given: Any) -> Any:
    """What a call gives or, when it refuses, how; comparable also where there is a NaN."""
    try:
        return "taken", str(call(*given))
    except InputError as error:
        return "refused", error.code, error.column


NUMBERS = (Column("a"), Column("b", "float32"), Column("c", nullable=True), Column("d", "float32", infinite=True))
MIXED = (
    Column("n", nullable=True, infinite=True),
    Column("k", "category", categories=("red", "green"), nullable=True, unseen=True),
    Column("m", "category", categories=(3, 1.5), nullable=True, unseen=True),
    Column("i", "int64"),
    Column("t", "bool"),
)

finite = st.floats(allow_nan=False, allow_infinity=False)
mixed_rows = st.tuples(
    st.floats() | st.none() | st.integers(-(2**53), 2**53) | st.sampled_from(["NaN", "Infinity", "-inf"]),
    st.sampled_from(["red", "green", "never seen", None]),
    st.sampled_from([3, 3.0, 1.5, 7, None]),
    st.integers(-(2**53), 2**53),
    st.booleans(),
).map(list)


# One row


@given(st.lists(finite, max_size=6))
def test_a_plain_row_is_checked_as_any_other(row: list[float]) -> None:
    made = checker(*NUMBERS)
    assert made.all_plain
    assert outcome(made.check_plain, row) == outcome(made.check, row)


@given(mixed_rows, st.permutations([column.name for column in MIXED]))
def test_a_row_by_name_is_the_row_by_position(row: list[Any], order: list[str]) -> None:
    made = checker(*MIXED)
    names = [column.name for column in MIXED]
    named = {name: row[names.index(name)] for name in order}
    assert str(made.check(named)) == str(made.check(row))


def test_a_column_that_may_be_missing_may_be_left_out() -> None:
    (_, value) = checker(Column("a"), Column("b", nullable=True)).check({"a": 1.0})
    assert math.isnan(value)


@pytest.mark.parametrize(
    ("row", "code", "column"),
    [
        ([1.0], "wrong_width", None),
        ([1.0, 2.0, 3.0], "wrong_width", None),
        ([], "wrong_width", None),
        (_SECRET, "wrong_type", None),
        (None, "wrong_type", None),
        ({"a": 1.0}, "missing_column", "b"),
        ({"a": 1.0, "b": 2.0, _SECRET: 3.0}, "unknown_column", None),
        ({"a": 1.0, _SECRET: 2.0}, "unknown_column", None),
        ({}, "missing_column", "a"),
        ([1.0, _SECRET], "wrong_type", "b"),
        ([True, 2.0], "wrong_type", "a"),
        ([1.0, None], "missing_value", "b"),
        ([math.nan, 1.0], "missing_value", "a"),
        ([math.inf, 1.0], "not_finite", "a"),
        ([10**400, 1.0], "not_finite", "a"),
        ([1.0, 2 * FLOAT32_MAX], "not_finite", "b"),
        ([1.0, [2.0]], "wrong_type", "b"),
    ],
)
def test_what_does_not_fit_is_named_and_not_repeated(row: Any, code: str, column: str | None) -> None:
    error = refusal(checker(Column("a"), Column("b", "float32")).check, row, 4)
    assert (error.code, error.column, error.row) == (code, column, 4)
    assert _SECRET not in error.message


@pytest.mark.parametrize(
    ("column", "value", "want"),
    [
        (Column("x", "int8"), 127, 127),
        (Column("x", "int8"), 3.0, 3),
        (Column("x", "bool"), 1, True),
        (Column("x", "string"), "text", "text"),
        (Column("x", "string", nullable=True), None, None),
        (Column("x", "category", categories=(1, 2)), 2.0, 2.0),
        (Column("x", "category", categories=(True, False)), False, False),
        (Column("x", shape=(2,)), [1, 2.5], [1, 2.5]),
        (Column("x", shape=(-1, 2)), [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        (Column("x", shape=(2,), nullable=True), [None, "NaN"], [None, "NaN"]),
        (Column("x", shape=(1,), infinite=True), ["-inf"], ["-inf"]),
        (Column("x", "int64", shape=(2,)), [2**63 - 1, -(2**63)], [2**63 - 1, -(2**63)]),
        (Column("x", "bool", shape=(2,)), [True, False], [True, False]),
        (Column("x", "string", shape=(-1,)), [], []),
        (Column("x", "string", shape=(-1,), nullable=True), ["a", None], ["a", None]),
    ],
)
def test_a_value_that_fits_is_taken(column: Column, value: Any, want: Any) -> None:
    assert checker(column).check([value] if not column.shape else value) == [want]


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        (Column("x", "int8"), 128, "wrong_type"),
        (Column("x", "int8"), 1.5, "wrong_type"),
        (Column("x", "int64"), None, "missing_value"),
        (Column("x", "int64"), True, "wrong_type"),
        (Column("x", "bool"), 2, "wrong_type"),
        (Column("x", "bool"), "true", "wrong_type"),
        (Column("x", "string"), 5, "wrong_type"),
        (Column("x", "string"), None, "missing_value"),
        (Column("x", "category", categories=("a",)), "b", "unseen_category"),
        (Column("x", "category", categories=("a",)), None, "missing_value"),
        (Column("x", "category", categories=("a",), unseen=True), 5, "wrong_type"),
        (Column("x", "category", categories=(1, 2), unseen=True), "1", "wrong_type"),
        (Column("x", "category", categories=("a",), unseen=True), ["a"], "wrong_type"),
        (Column("x", shape=(2,)), [1, 2, 3], "wrong_shape"),
        (Column("x", shape=(2,)), [[1, 2], [3]], "wrong_type"),
        (Column("x", shape=(2,)), ["a", "b"], "wrong_type"),
        (Column("x", shape=(2,)), 1.0, "wrong_shape"),
        (Column("x", shape=(2,)), [1, True], "wrong_type"),
        (Column("x", shape=(2,)), [1, None], "missing_value"),
        (Column("x", shape=(2,)), [1, math.nan], "missing_value"),
        (Column("x", shape=(2,)), [1, math.inf], "not_finite"),
        (Column("x", shape=(1,)), [2**2000], "not_finite"),
        (Column("x", "float32", shape=(1,)), [1e39], "not_finite"),
        (Column("x", "float16", shape=(1,)), [1e5], "not_finite"),
        (Column("x", "int64", shape=(2,)), [1, 1.5], "wrong_type"),
        (Column("x", "int64", shape=(1,)), [2**63], "wrong_type"),
        (Column("x", "uint8", shape=(2,)), [1, -1], "wrong_type"),
        (Column("x", "int8", shape=(1,)), [True], "wrong_type"),
        (Column("x", "bool", shape=(1,)), [1], "wrong_type"),
        (Column("x", "string", shape=(2,)), ["a", 5], "wrong_type"),
        (Column("x", "string", shape=(1,)), [None], "missing_value"),
        (Column("x", "string", shape=ANY_SHAPE), [["a"], "b"], "wrong_type"),
        (Column("x", shape=ANY_SHAPE), [{"a": 1}], "wrong_type"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(column: Column, value: Any, code: str) -> None:
    error = refusal(checker(column).check, [value] if not column.shape else value)
    assert (error.code, error.column) == (code, "x")


# Arrays


@given(st.lists(mixed_rows, min_size=1, max_size=20))
def test_rows_become_the_same_matrix_whichever_way(rows: list[list[Any]]) -> None:
    made = checker(*MIXED)
    checked = [made.check(row) for row in rows]
    np.testing.assert_array_equal(made.matrix(checked), made.code(made.columns(checked)))


@given(st.lists(mixed_rows, min_size=1, max_size=20))
def test_arrays_are_checked_as_rows_are(rows: list[list[Any]]) -> None:
    made = checker(*MIXED)
    checked = made.columns([made.check(row) for row in rows])
    again = made.check_columns(as_objects(MIXED, rows))
    for name, values in checked.items():
        assert again[name].dtype == values.dtype
        assert [str(value) for value in again[name].tolist()] == [str(value) for value in values.tolist()]


@given(
    st.sampled_from(NUMBERS),
    st.lists(st.floats() | st.sampled_from([1e39, -1e39]), min_size=1, max_size=5),
)
def test_numbers_in_an_array_are_refused_as_in_rows(column: Column, values: list[float]) -> None:
    made = checker(column)
    by_row = outcome(lambda: [made.check([value]) for value in values])
    by_array = outcome(lambda: made.check_columns({column.name: np.array(values)}))
    assert by_array[0] == by_row[0]
    if len(values) == 1:
        assert by_array[1:] == by_row[1:] or by_row[0] == "taken"


@given(st.lists(st.tuples(st.floats(), st.floats(width=32)), min_size=1, max_size=5))
def test_plain_columns_are_checked_together_as_each_is_alone(rows: list[tuple[float, float]]) -> None:
    columns = (Column("a", nullable=True), Column("b", "float32", infinite=True))
    sent = {"a": np.array([a for a, _ in rows]), "b": np.array([b for _, b in rows], np.float32)}
    together = outcome(lambda: [values.tolist() for values in checker(*columns).check_columns(sent).values()])
    alone = outcome(lambda: [checker(c).check_columns({c.name: sent[c.name]})[c.name].tolist() for c in columns])
    assert together == alone


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint64"])
@given(values=st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=5))
def test_integers_in_an_array_are_refused_as_in_rows(dtype: DType, values: list[int]) -> None:
    made = checker(Column("x", dtype))
    by_row = outcome(lambda: [made.check([value])[0] for value in values])
    by_array = outcome(lambda: made.check_columns({"x": np.array(values)})["x"].tolist())
    assert by_array[0] == by_row[0]
    assert by_array[1] == by_row[1]


def test_arrays_name_the_column_and_row_that_do_not_fit() -> None:
    made = checker(Column("a"), Column("k", "category", categories=("x",)))
    good: Columns = {"a": np.array([1.0, 2.0]), "k": np.array(["x", "x"], dtype=object)}
    assert refusal(made.check_columns, {"a": good["a"]}).code == "missing_column"
    assert refusal(made.check_columns, {**good, _SECRET: good["a"]}).code == "unknown_column"
    error = refusal(made.check_columns, {**good, "a": np.array([1.0, np.nan])})
    assert (error.code, error.column, error.row) == ("missing_value", "a", 1)
    error = refusal(made.check_columns, {**good, "k": np.array(["x", _SECRET], dtype=object)})
    assert (error.code, error.column, error.row) == ("unseen_category", "k", 1)
    assert _SECRET not in error.message


@pytest.mark.parametrize(("dtype", "rows"), [("float64", [[1], [2, 3]]), ("string", [["a"], ["b", "c"]])])
def test_rows_of_different_shapes_are_no_array(dtype: DType, rows: list[Any]) -> None:
    made = checker(Column("x", dtype, shape=(-1,)))
    error = refusal(made.columns, [made.check(row) for row in rows])
    assert (error.code, error.column) == ("wrong_shape", "x")


def test_an_array_without_rows_keeps_its_shape() -> None:
    for dtype in ("string", "bool", "float32", "int64"):
        given = np.empty((0, 2), dtype=object if dtype == "string" else dtype)
        assert checker(Column("x", dtype, shape=(-1,))).check_columns({"x": given})["x"].shape == (0, 2)


def test_codes_are_places_and_unseen_and_missing_have_their_own() -> None:
    made = checker(Column("k", "category", categories=("a", "b"), nullable=True, unseen=True))
    codes = made.matrix([made.check([value]) for value in ("b", "a", "z", None)])[:, 0]
    np.testing.assert_array_equal(codes, [1.0, 0.0, UNSEEN, np.nan])


def as_objects(columns: tuple[Column, ...], rows: list[list[Any]]) -> Columns:
    made: Columns = {}
    for column, values in zip(columns, zip(*rows, strict=True), strict=True):
        made[column.name] = np.empty(len(values), dtype=object)
        made[column.name][:] = values
    return made
