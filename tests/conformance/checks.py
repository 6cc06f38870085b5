"""What must hold of every case, whatever serves it. A function with `@check` is found by the suite; that is all it takes."""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from salver.batch.outputs import names_of
from salver.batch.reading import Chunk
from salver.batch.score import Scorer
from salver.embedded.model import Awake, LoadedModel
from salver.engine.batch import values_of
from salver.engine.routing import Routing
from salver.lower.proof import largest_difference
from salver.lower.rows import proof_rows
from salver.stream.contract import Message
from salver.stream.scoring import Scoring
from salver.stream.shadows import Shadows
from salver.types.signature import Column, Columns, Output
from tests.conformance.protocols import WAYS
from tests.conformance.subject import NATIVE, Answer, Subject, as_sent

NO_SHADOWS = Shadows(lambda version: pytest.fail(f"{version} is asked for"))
CHECKS: list[Callable[[Subject], None]] = []

SECRET = "s3cr3t-value"
SECRET_NUMBER = 778_177_810
_OTHER_SEED = 7
_THIRD_SEED = 11
_ROWS = 10_000
_NATIVE_ROWS = 300
_NATIVE_TOLERANCE = 1e-6
_FEW = 12
_COLUMNS_A_KIND = 2


def check(function: Callable[[Subject], None]) -> Callable[[Subject], None]:
    CHECKS.append(function)
    return function


@check
def served_as_the_case_says(subject: Subject) -> None:
    assert bool(subject.lowering.chosen) == subject.case.lowered, subject.lowering.reason


@check
def its_own_rows_get_the_original_answers(subject: Subject) -> None:
    """Held against the model's own `predict` on the case's own rows, without anything of ours between."""
    model = subject.original
    if hasattr(model, "get_params"):
        want = quietly(model.predict if hasattr(model, "predict") else model.transform, subject.X)
        want = want.toarray() if hasattr(want, "toarray") else np.asarray(want)
        # CatBoost answers with (rows, 1) for more than two classes.
        want = (want if subject.signature.prediction.shape else want.ravel()).tolist()
    else:  # a booster takes a matrix of its own kind
        want = expected(subject, subject.columns)["prediction"]
    got = ask_many(subject, subject.rows)["predictions"]
    assert_agree(subject, subject.signature.prediction, want, got)


@check
def a_table_gets_the_answers_of_requests(subject: Subject) -> None:
    rows, prediction = subject.rows[:_FEW], subject.signature.prediction
    named = [dict(zip(subject.signature.names, row, strict=True)) for row in rows]
    scored = Scorer(subject.model, seed=1)(Chunk(pa.table({}), range(len(rows)), rows=named), file=0)
    columns = [scored.table[name].to_pylist() for name in names_of(subject.signature)[prediction.name]]
    got = columns[0] if len(columns) == 1 else [list(row) for row in zip(*columns, strict=True)]
    assert not scored.bad
    assert_agree(subject, prediction, ask_many(subject, rows)["predictions"], got)


@check
def a_stream_gets_the_answers_of_requests(subject: Subject) -> None:
    rows, output = subject.rows[:_FEW], subject.signature.output("probabilities")
    named: list[Any] = [dict(zip(subject.signature.names, row, strict=True)) for row in rows]
    messages = [Message(json.dumps(row).encode(), "", i, None, []) for i, row in enumerate(named + rows)]
    scoring = Scoring("test", None, None, NO_SHADOWS)
    scoring.install(Routing(1), {1: Awake(subject.model)})
    made = scoring(messages)
    assert not made.dead
    got = [json.loads(answer.value) for answer in made.answers]
    want = subject.ask({"instances": rows + rows, "probabilities": output is not None}).body
    assert [one["prediction"] for one in got] == want["predictions"]
    if output is not None:
        assert [one["probabilities"] for one in got] == want["probabilities"]


@check
def probabilities_agree_or_are_refused(subject: Subject) -> None:
    rows, output = subject.rows[:_FEW], subject.signature.output("probabilities")
    answer = subject.ask({"instances": rows, "probabilities": True})
    if output is None:
        assert_refused(answer, "no_probabilities")
        return
    assert answer.status == 200, answer.text
    assert_agree(subject, output, expected(subject, subject.checked(rows))["probabilities"], answer.body["probabilities"])
    assert answer.body["classes"] == list(subject.signature.prediction.classes or ())


@check
def one_row_is_the_same_row_of_a_batch(subject: Subject) -> None:
    rows = subject.rows[:_FEW]
    together = ask_many(subject, rows)["predictions"]
    alone = [ask_one(subject, row)["prediction"] for row in rows]
    # A framework of its own may sum one row in another order than many, and in float32.
    tolerance = max(subject.trained.tolerance, _NATIVE_TOLERANCE if subject.served_by == NATIVE else 0.0)
    assert_agree(subject, subject.signature.prediction, together, alone, tolerance)


@check
def answers_come_in_the_order_of_the_rows(subject: Subject) -> None:
    rows = subject.rows[:64]
    order = random.Random(3).sample(range(len(rows)), len(rows))
    straight, shuffled = (ask_many(subject, some)["predictions"] for some in (rows, [rows[i] for i in order]))
    assert_agree(subject, subject.signature.prediction, [straight[i] for i in order], shuffled)


@check
def no_rows_get_no_answers(subject: Subject) -> None:
    body = ask_many(subject, [])
    assert (body["predictions"], body["ids"]) == ([], [])


@check
def columns_by_name_come_in_any_order(subject: Subject) -> None:
    rows = subject.rows[:_FEW]
    names = subject.signature.names
    shuffled = random.Random(5).sample(names, len(names))
    named = [{name: row[names.index(name)] for name in shuffled} for row in rows]
    assert ask_many(subject, named)["predictions"] == ask_many(subject, rows)["predictions"]


@check
def a_missing_value_is_answered_where_legal_and_refused_by_name_elsewhere(subject: Subject) -> None:
    for i, column in probed(subject):
        row = changed(subject, i, None)
        if column.nullable:
            assert_answered_as_originally(subject, [row])
        else:
            assert_refused(subject.ask({"features": row}), "missing_value", column.name)
        if column.is_number:
            # Python's own encoder writes a bare NaN; others spell it.
            bare, spelled = (subject.ask({"features": changed(subject, i, nan)}) for nan in (float("nan"), "NaN"))
            assert_same(subject.ask({"features": row}), bare)
            assert_same(bare, spelled)


@check
def an_infinite_value_is_answered_where_legal_and_refused_by_name_elsewhere(subject: Subject) -> None:
    for i, column in probed(subject):
        if not column.is_number or column.dtype == "bool":
            continue
        beyond = [1e39, -1e39] if column.dtype == "float32" else []
        for value in ("Infinity", "-Infinity", *beyond):
            row = changed(subject, i, value)
            if column.infinite:
                assert_answered_as_originally(subject, [row])
            else:
                code = "not_finite" if column.dtype.startswith("float") else "wrong_type"
                assert_refused(subject.ask({"features": row}), code, column.name)


@check
def an_unseen_category_is_answered_where_legal_and_refused_by_name_elsewhere(subject: Subject) -> None:
    for i, column in probed(subject):
        if column.dtype == "category":
            row = changed(subject, i, SECRET_NUMBER if kinds(column) <= {int, float} and kinds(column) else SECRET)
            if column.unseen:
                assert_answered_as_originally(subject, [row])
            else:
                assert_refused(subject.ask({"features": row}), "unseen_category", column.name)


@check
def a_value_of_the_wrong_type_is_refused_by_name(subject: Subject) -> None:
    for i, column in probed(subject):
        for value in misfits(column):
            answer = subject.ask({"instances": [plain(subject), changed(subject, i, value)]})
            assert_refused(answer, "wrong_type", column.name, row=1)


@check
def a_row_of_another_width_is_refused(subject: Subject) -> None:
    row = plain(subject)
    for wrong in (row[:-1], [*row, SECRET_NUMBER], []):
        assert_refused(subject.ask({"features": wrong}), "wrong_width", row=0)
        assert_refused(subject.ask({"instances": [row, wrong]}), "wrong_width", row=1)


@check
def an_unknown_column_is_refused(subject: Subject) -> None:
    named = dict(zip(subject.signature.names, plain(subject), strict=True))
    assert_refused(subject.ask({"features": named | {SECRET: SECRET_NUMBER}}), "unknown_column")
    renamed = {name if i else SECRET: value for i, (name, value) in enumerate(named.items())}
    assert_refused(subject.ask({"features": renamed}), "unknown_column")


@check
def an_unknown_member_of_the_body_is_refused(subject: Subject) -> None:
    answer = subject.ask({"features": plain(subject), SECRET: SECRET_NUMBER})
    assert (answer.status, answer.body["code"]) == (400, "invalid_body")
    assert SECRET not in answer.text


@check
def a_column_left_out_is_missing(subject: Subject) -> None:
    for i, column in probed(subject):
        named = dict(zip(subject.signature.names, plain(subject), strict=True))
        del named[column.name]
        answer = subject.ask({"features": named})
        if column.nullable:
            assert_same(subject.ask({"features": changed(subject, i, None)}), answer)
        else:
            assert_refused(answer, "missing_column", column.name)


@check
def rows_it_was_not_proven_on_agree_too(subject: Subject) -> None:
    proof = subject.lowering.proof
    count = min(_ROWS, proof.rows) if proof else _NATIVE_ROWS
    columns = proof_rows(subject.trained.model, subject.signature, count, seed=_OTHER_SEED)
    rows = as_sent(columns[name].tolist() for name in subject.signature.names)
    want = expected(subject, columns)
    got = ask_many(subject, rows)
    assert_agree(subject, subject.signature.prediction, want["prediction"], got["predictions"])


@check
def every_protocol_gives_the_numbers_of_the_library(subject: Subject) -> None:
    """Rows made anew, as `salver.load().predict` answers them: to the last bit, where the model is lowered."""
    made = proof_rows(subject.trained.model, subject.signature, 20 * _FEW, seed=_THIRD_SEED)
    kept = np.all(
        [[spoken(column, value) for value in made[column.name].tolist()] for column in subject.signature.columns], axis=0
    )
    places = np.flatnonzero(kept)[:_FEW]
    assert len(places)
    columns = {name: made[name][places] for name in subject.signature.names}
    output = subject.signature.prediction
    want = LoadedModel(Awake(subject.model), None, None).predict(columns)
    table = {name: [None if is_none(value) else value for value in column.tolist()] for name, column in columns.items()}
    for name, way in WAYS.items():
        assert_same_numbers(subject, output, want, subject.ask_by(way, table), name)


def spoken(column: Column, value: Any) -> bool:
    """Whether every protocol can say a value: not infinity, empty text, or that a text or whole number is missing."""
    if is_none(value):
        return column.dtype.startswith("float")
    return not (value == "" or (isinstance(value, float) and np.isinf(value)))


def is_none(value: Any) -> bool:
    return value is None or value is pd.NA or value != value


def assert_same_numbers(subject: Subject, output: Output, want: Any, got: list[Any], way: str) -> None:
    if output.classes is not None or not output.dtype.startswith("float"):
        assert np.asarray(want).tolist() == got, way
        return
    a, b = np.array(want, output.dtype), np.array(got, output.dtype)
    a[~np.isfinite(a)] = np.nan
    b[~np.isfinite(b)] = np.nan
    tolerance = _NATIVE_TOLERANCE if subject.served_by == NATIVE else 0.0
    assert a.shape == b.shape and largest_difference(a.astype(float), b.astype(float)) <= tolerance, way


@check
def what_was_asked_and_answered_is_in_the_log(subject: Subject) -> None:
    rows = subject.rows[:_FEW]
    keys = [f"key {i}" for i in range(len(rows))]
    body = ask_many(subject, rows, keys=keys)
    records = subject.records
    assert [record.id for record in records] == body["ids"] == sorted(set(body["ids"]))
    assert [record.key for record in records] == keys
    assert [list(record.inputs) for record in records] == [subject.signature.names] * len(rows)
    assert [list(record.inputs.values()) for record in records] == rows
    want = expected(subject, subject.checked(rows))
    for output in subject.signature.outputs:
        assert_agree(subject, output, want[output.name], [record.outputs[output.name] for record in records])


@check
def golden_rows_are_stored_and_answered(subject: Subject) -> None:
    golden = subject.artifact.golden
    assert len(golden.rows) >= 4
    got = ask_many(subject, golden.rows)["predictions"]
    prediction = subject.signature.prediction
    assert_agree(subject, prediction, values_of(prediction, np.array(golden.outputs["prediction"], dtype=object)), got)


def ask_many(subject: Subject, rows: list[Any], **more: Any) -> dict[str, Any]:
    answer = subject.ask({"instances": rows, **more})
    assert answer.status == 200, answer.text
    assert len(answer.body["predictions"]) == len(answer.body["ids"]) == len(rows)
    return answer.body


def ask_one(subject: Subject, row: Any) -> dict[str, Any]:
    answer = subject.ask({"features": row})
    assert answer.status == 200, answer.text
    return answer.body


def quietly(call: Callable[[Any], Any], given: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a model's advice on rows that it does answer
        return call(given)


def expected(subject: Subject, columns: Columns) -> dict[str, list[Any]]:
    """The original's answers, as Python values by output."""
    answers = quietly(subject.trained.predict, columns)
    return {output.name: values_of(output, answers[output.name]) for output in subject.signature.outputs}


def assert_agree(subject: Subject, output: Output, want: list[Any], got: list[Any], tolerance: float | None = None) -> None:
    """Labels are identical, numbers within the case's tolerance; what JSON has no number for is null."""
    assert len(want) == len(got)
    if output.classes is not None or not output.dtype.startswith("float"):
        assert want == got
        return
    a, b = np.array(want, dtype=np.float64), np.array(got, dtype=np.float64)
    a[~np.isfinite(a)] = np.nan
    assert a.shape == b.shape
    assert largest_difference(a, b) <= (subject.trained.tolerance if tolerance is None else tolerance)


def assert_answered_as_originally(subject: Subject, rows: list[list[Any]]) -> None:
    want = expected(subject, subject.checked(rows))["prediction"]
    assert_agree(subject, subject.signature.prediction, want, ask_many(subject, rows)["predictions"])


def assert_same(one: Answer, other: Answer) -> None:
    """The same answer but for its id."""
    assert one.status == other.status
    assert {**one.body, "id": ""} == {**other.body, "id": ""}


def assert_refused(answer: Answer, code: str, column: str | None = None, row: int | None = None) -> None:
    """Refused with that code, naming the column and row, and without repeating what was sent."""
    assert (answer.status, answer.body.get("code")) == (422, code), answer.text
    if column is not None:
        assert answer.body["column"] == column
    if row is not None:
        assert answer.body["row"] == row
    assert SECRET not in answer.text
    assert str(SECRET_NUMBER) not in answer.text


def plain(subject: Subject) -> list[Any]:
    """A row of the case with nothing missing, if it has one."""
    return list(next((row for row in subject.rows if None not in row), subject.rows[0]))


def changed(subject: Subject, place: int, value: Any) -> list[Any]:
    row = plain(subject)
    row[place] = value
    return row


def probed(subject: Subject) -> Iterator[tuple[int, Column]]:
    """A few columns of each kind, with their places."""
    seen: dict[Any, int] = {}
    for i, column in enumerate(subject.signature.columns):
        kind = (column.dtype, column.nullable, column.infinite, column.unseen, frozenset(kinds(column)))
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= _COLUMNS_A_KIND:
            yield i, column


def kinds(column: Column) -> set[type]:
    return {type(category) for category in column.categories or ()}


def misfits(column: Column) -> list[Any]:
    """Values whose type the column does not take."""
    nested = [[SECRET], {SECRET: SECRET_NUMBER}]
    if column.dtype == "string":
        return [*nested, SECRET_NUMBER, True]
    if column.dtype == "category":
        known = kinds(column)
        takes = {SECRET: {str}, SECRET_NUMBER: {int, float}, True: {bool}}
        return nested + [value for value, types in takes.items() if known and not known & types]
    return [*nested, SECRET, SECRET_NUMBER if column.dtype == "bool" else True]
