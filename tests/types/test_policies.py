"""What becomes of values that do not fit: the same by row and by array."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from salver.errors import InputError
from salver.types.policies import Flagged, flag_rows, flags_of
from salver.types.ranges import Flagger
from salver.types.rows import RowChecker
from salver.types.signature import Column, Columns, Signature

KINDS = ("red", "green")


def objects(values: list[Any]) -> Any:
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


def by_row(column: Column, value: Any) -> tuple[Any, Any]:
    """(the value that the model gets, the flag)"""
    row = RowChecker(Signature((column,), ())).check([value])
    return row[0], row.flags.get("c") if isinstance(row, Flagged) else None


def by_array(column: Column, value: Any) -> tuple[Any, Any]:
    columns = RowChecker(Signature((column,), ())).check_columns({"c": objects([value])})
    return columns["c"].tolist()[0], flags_of(columns).get(0, {}).get("c")


def by_number(column: Column, value: Any) -> tuple[Any, Any]:
    columns = RowChecker(Signature((column,), ())).check_columns({"c": np.array([value], dtype=np.float64)})
    return columns["c"].tolist()[0], flags_of(columns).get(0, {}).get("c")


NUMBER = {"dtype": "float64", "nullable": True}
RANGE = {"low": 0.0, "high": 10.0}
CASES: list[tuple[dict[str, Any], Any, Any]] = [
    (NUMBER, None, (None, None)),
    (NUMBER | {"on_missing": "null"}, None, (None, None)),
    (NUMBER | {"on_missing": "warn"}, None, (None, "missing")),
    (NUMBER | {"on_missing": "error"}, None, "missing_value"),
    ({"on_missing": "warn"}, None, "missing_value"),
    (NUMBER | RANGE | {"on_out_of_range": "error"}, 11.0, "out_of_range"),
    (NUMBER | RANGE | {"on_out_of_range": "error"}, 10.0, (10.0, None)),
    (NUMBER | RANGE | {"on_out_of_range": "null"}, -1.0, (None, "out_of_range")),
    (NUMBER | RANGE | {"on_out_of_range": "warn"}, -1.0, (-1.0, None)),
    (NUMBER, "3.5", "wrong_type"),
    (NUMBER | {"on_wrong_type": "warn"}, "3.5", (3.5, "type")),
    (NUMBER | {"on_wrong_type": "warn"}, "x", "wrong_type"),
    (NUMBER | {"on_wrong_type": "null"}, "x", (None, "type")),
    (NUMBER | {"on_wrong_type": "null"}, math.inf, (None, "type")),
    ({"on_wrong_type": "null"}, "x", "wrong_type"),
    ({"dtype": "int64", "on_wrong_type": "warn"}, "3", (3, "type")),
    ({"dtype": "bool", "on_wrong_type": "warn"}, "true", (True, "type")),
    ({"dtype": "string", "on_wrong_type": "warn"}, 3, ("3", "type")),
    ({"dtype": "category", "categories": KINDS}, "blue", "unseen_category"),
    ({"dtype": "category", "categories": KINDS, "unseen": True}, "blue", ("blue", "unseen")),
    ({"dtype": "category", "categories": KINDS, "unseen": True, "on_unseen": "error"}, "blue", "unseen_category"),
    ({"dtype": "category", "categories": KINDS, "nullable": True, "on_unseen": "null"}, "blue", (None, "unseen")),
    ({"dtype": "category", "categories": KINDS, "on_unseen": "null"}, "blue", "unseen_category"),
    ({"dtype": "category", "categories": (1, 2), "on_wrong_type": "warn"}, "2", (2, "type")),
    ({"dtype": "category", "categories": KINDS, "unseen": True, "on_wrong_type": "warn"}, 7, ("7", "type")),
]


@pytest.mark.parametrize(("fields", "value", "outcome"), CASES)
@pytest.mark.parametrize("check", [by_row, by_array, by_number])
def test_policies(check: Any, fields: dict[str, Any], value: Any, outcome: Any) -> None:
    column = Column("c", **fields)
    if check is by_number and not (column.dtype == "float64" and isinstance(value, float | None)):
        pytest.skip("no number")
    if isinstance(outcome, str):
        with pytest.raises(InputError) as refused:
            check(column, value)
        assert refused.value.code == outcome
        assert refused.value.column == "c"
    else:
        kept, flag = check(column, value)
        kept = None if kept is None or kept != kept else kept
        assert (kept, flag) == outcome
        assert type(kept) is type(outcome[0])


def test_unknown_columns() -> None:
    row = {"a": 1.0, "other": 2.0}
    arrays: Columns = {"a": np.array([1.0, 2.0]), "other": np.array([0.0, 0.0])}
    for policy, flags in (("null", {}), ("warn", {"*": "unknown"})):
        checker = RowChecker(Signature((Column("a"),), (), on_unknown=policy))  # type: ignore[arg-type]
        checked = checker.check(row)
        assert list(checked) == [1.0]
        assert (checked.flags if isinstance(checked, Flagged) else {}) == flags
        columns = checker.check_columns(arrays)
        assert list(columns) == ["a"]
        assert flags_of(columns) == ({0: flags, 1: flags} if flags else {})


def test_a_column_may_be_left_out_by_the_same_rule_in_both() -> None:
    optional = RowChecker(Signature((Column("a"), Column("b", nullable=True, on_missing="warn")), ()))
    assert optional.check({"a": 1.0}).flags == {"b": "missing"}  # type: ignore[attr-defined]
    assert flags_of(optional.check_columns({"a": np.array([1.0])})) == {0: {"b": "missing"}}
    needed = RowChecker(Signature((Column("a"), Column("b", nullable=True, on_missing="error")), ()))
    for check, given in ((needed.check, {"a": 1.0}), (needed.check_columns, {"a": np.array([1.0])})):
        with pytest.raises(InputError) as refused:
            check(given)  # type: ignore[operator]
        assert refused.value.code == "missing_column"


def test_flags_follow_their_rows() -> None:
    signature = Signature((Column("a", nullable=True, low=0.0, high=1.0, on_missing="warn"), Column("b", low=0.0)), ())
    checker, flagger = RowChecker(signature), Flagger(signature)
    rows = [[0.5, 1.0], [2.0, -1.0], [None, 5.0], [math.nan, -5.0]] + [[0.5, 1.0]] * 20
    wanted = [None, {"a": "out_of_range", "b": "out_of_range"}, {"a": "missing"}, {"b": "out_of_range", "a": "missing"}]
    checked = [checker.check(row) for row in rows]
    assert flagger
    assert list(flagger(checked))[:4] == wanted  # type: ignore[arg-type]
    columns = checker.check_columns({"a": objects([row[0] for row in rows]), "b": np.array([row[1] for row in rows])})
    again = flag_rows([list(row) for row in zip(*(columns[name].tolist() for name in "ab"), strict=True)], columns)
    assert list(flagger(again))[:4] == wanted  # type: ignore[arg-type]
    assert next(iter(flagger(checked[4:]))) is None


@pytest.mark.parametrize("count", [1, 7, 8, 100])
def test_nothing_hides_behind_a_missing_value(count: int) -> None:
    flagger = Flagger(Signature((Column("a", nullable=True, low=0.0, high=1.0),), ()))
    for at in range(count):
        rows = [[math.nan] if i % 2 else [0.5] for i in range(count)]
        rows[at] = [7.0]
        assert [i for i, flags in enumerate(flagger(rows)) if flags] == [at]


def test_plain_rows_stay_plain() -> None:
    """A range that only warns costs a row nothing before its answer."""
    assert RowChecker(Signature((Column("a", low=0.0, high=1.0),), ())).all_plain
    assert not RowChecker(Signature((Column("a", low=0.0, high=1.0, on_out_of_range="error"),), ())).all_plain
    assert not Flagger(Signature((Column("a"),), ()))
