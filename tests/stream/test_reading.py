"""What messages hold: the decoder that checks in one go says what the checks one by one say; ids are the messages' own."""

from __future__ import annotations

from uuid import UUID

import pytest

from salver.errors import InputError
from salver.stream.contract import Message
from salver.stream.ids import Ids
from salver.stream.reading import Reading, key_reader
from salver.types.rows import Row, RowChecker
from salver.types.signature import Column, Signature

NUMBERS = Signature((Column("a"), Column("b", "float32"), Column("c", nullable=True)), ())
HELD = [
    b'{"a": 1.5, "b": 2, "c": 3}', b'{"c": 3, "b": 2, "a": 1, "who": "me"}', b"[1, 2.5, 3]", b'{"a": 1, "b": 2, "c": null}',
    b'{"a": 1, "b": 2, "c": "x"}', b'{"a": 1, "b": true, "c": 3}', b'{"a": 1, "b": 1e39, "c": 3}',
    b'{"a": 1e999, "b": 1, "c": 3}',
    b'{"a": 18446744073709551616, "b": 1, "c": 3}', b'{"a": 1, "b": 2}', b'{"b": 1, "c": 2}', b"[1, 2]", b"[1, 2, 3, 4]", b"7",
    b"null", b"{torn", b'{"a": 1, "b": 2, "c": 3} {}', b"\xff", b"", b'{"a": ' + b"9" * 400 + b', "b": 1, "c": 3}',
]  # fmt: skip


def message(held: bytes, number: int | str = 0, place: str = "0") -> Message:
    return Message(held, place, number, None, [])


def one_by_one(reading: Reading, held: bytes) -> Row | str:
    try:
        return [float(value) for value in reading.row(held)]
    except InputError as error:
        return error.code


@pytest.mark.parametrize("first", [b"[1, 2, 3]", b'{"a": 1, "b": 2, "c": 3}'])
def test_decoded_in_one_go_or_checked_one_by_one_a_row_is_the_same(first: bytes) -> None:
    reading = Reading(NUMBERS, RowChecker(NUMBERS))
    rows, refused = reading([message(held) for held in [first, *HELD]])
    found = [refused[at].code if at in refused else [float(value) for value in row] for at, row in enumerate(rows)]
    assert str(found[1:]) == str([one_by_one(reading, held) for held in HELD])
    assert {"invalid_json", "missing_column", "wrong_width", "wrong_type"} <= {error.code for error in refused.values()}


def test_other_columns_and_strange_names_are_read_one_by_one() -> None:
    mixed = Signature((Column('say "a"'), Column("kind", "category", categories=("x", "y"))), ())
    reading = Reading(mixed, RowChecker(mixed))
    rows, refused = reading([message(b'{"say \\"a\\"": 1, "kind": "x"}'), message(b'{"say \\"a\\"": 1, "kind": "z"}')])
    assert (list(rows[0]), list(refused)) == ([1.0, "x"], [1])


def test_a_key_is_found_in_what_a_message_holds() -> None:
    read = key_reader("who")
    held = [b'{"who": "me", "x": [1]}', b'{"who": 7}', b'{"who": 7.5}', b'{"who": null}', b"{}", b"[1]", b"{torn"]
    assert [read(one) for one in held] == ["me", "7", "7.5", None, None, None, None]


def test_an_id_is_always_the_same_for_a_message_and_its_own() -> None:
    places = [("0", 7), ("0", 8), ("1", 7), ("s", "7"), ("s", "170-0"), ("", 2**48 - 1)]
    messages = [message(b"", number, place) for place, number in places]
    made = Ids("kafka://h/events")(messages)
    assert made == Ids("kafka://h/events")(messages)
    assert len({*made, *Ids("kafka://h/others")(messages)}) == 2 * len(places)
    assert {(UUID(one).version, str(UUID(one))) for one in made} == {(8, one) for one in made}
