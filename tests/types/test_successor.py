"""Which version may take another's place."""

from __future__ import annotations

import msgspec
import pytest

from salver.types.signature import Column, Output, Signature
from salver.types.successor import obstacle

OUTPUTS = (Output("prediction", "int64", classes=(0, 1)), Output("probabilities", shape=(2,)))
COLUMNS = (Column("age", "int64"), Column("city", "category", categories=("Bonn", "Kiel")), Column("text", "string"))
BEFORE = Signature(COLUMNS, OUTPUTS, "classification")


def test_what_takes_the_same_or_more_fits() -> None:
    assert obstacle(BEFORE, BEFORE) == ""
    wider = (
        Column("age", "float64", nullable=True, infinite=True),
        Column("city", "category", categories=("Ulm", "Kiel", "Bonn")),
        Column("text", "string", nullable=True),
    )
    more = (Output("prediction", "int64", classes=(0, 1, 2)), Output("probabilities", shape=(3,)), Output("scores"))
    assert obstacle(BEFORE, Signature(wider, more, "classification")) == ""
    unseen = msgspec.structs.replace(COLUMNS[1], categories=("Ulm",), unseen=True)
    assert obstacle(BEFORE, Signature((COLUMNS[0], unseen, COLUMNS[2]), OUTPUTS, "classification")) == ""


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ((*COLUMNS, Column("new")), "wants columns that are not sent: new"),
        (COLUMNS[:2], "does not know columns that are sent: text"),
        ((COLUMNS[1], COLUMNS[0], COLUMNS[2]), "another order"),
        ((Column("age", "string"), *COLUMNS[1:]), "'age' is string, not int64"),
        ((Column("age", "int64", shape=(2,)), *COLUMNS[1:]), "shape"),
        ((COLUMNS[0], Column("city", "category", categories=("Bonn",)), COLUMNS[2]), "1 of its categories"),
    ],
)
def test_what_would_refuse_or_misread_a_row_does_not(columns: tuple[Column, ...], said: str) -> None:
    assert said in obstacle(BEFORE, Signature(columns, OUTPUTS, "classification"))


def test_what_was_let_through_before_must_be_let_through() -> None:
    before = Signature((Column("a", nullable=True, infinite=True),), OUTPUTS, "classification")
    assert "missing" in obstacle(before, Signature((Column("a", infinite=True),), OUTPUTS, "classification"))
    assert "infinities" in obstacle(before, Signature((Column("a", nullable=True),), OUTPUTS, "classification"))


def test_what_was_given_before_must_be_given() -> None:
    assert "probabilities" in obstacle(BEFORE, Signature(COLUMNS, OUTPUTS[:1], "classification"))
    assert "kind" in obstacle(BEFORE, Signature(COLUMNS, (Output("prediction"), OUTPUTS[1]), "classification"))
    assert "task" in obstacle(BEFORE, Signature(COLUMNS, OUTPUTS, "regression"))
