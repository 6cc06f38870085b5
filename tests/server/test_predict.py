"""The codec of the native protocol: what it writes in short it also writes at length."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salver.artifact.artifact import open_artifact
from salver.engine.batch import Batch
from salver.engine.ids import IdSource
from salver.engine.lane import Lane
from salver.engine.model import Model
from salver.errors import InputError
from salver.lower.publish import publish
from salver.server.predict import PLAIN, Codec, Form
from tests.models import classifier_file


@pytest.mark.parametrize("labels", [[0, 1, 2], ["setosa", 'with "quotes"', "ünïcode"], [-1.0, 0.0, 2.0], [False, True]])
def test_an_answer_in_short_is_the_same_as_at_length(labels: list[object], tmp_path: Path) -> None:
    publish(classifier_file(tmp_path, labels), "some-model", tmp_path / "artifact")
    codec = Codec(Lane(Model(open_artifact(tmp_path / "artifact")), None))
    ids = IdSource().batch(len(labels))
    batch = Batch([], {}, {"prediction": labels}, ids, 0)
    at_length = Form(single=True, probabilities=False)  # equal to PLAIN, but not it
    for row, label in enumerate(labels):
        answer = codec.answer(PLAIN, batch, row, 1)
        assert answer == codec.answer(at_length, batch, row, 1)
        assert msgspec.json.decode(answer) == {"prediction": label, "id": ids[row], "model": "some-model", "version": 1}
        for head in (b"content-length: ", b"date: later\r\ncontent-length: "):
            response = b"%b%d\r\n\r\n%b" % (head, len(answer), answer)
            assert codec.response(PLAIN, batch, row, 1, head) == response
            assert codec.response(at_length, batch, row, 1, head) == response


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> Codec:
    folder = tmp_path_factory.mktemp("codec")
    publish(classifier_file(folder, [0, 1, 2]), "some-model", folder / "artifact")
    return Codec(Lane(Model(open_artifact(folder / "artifact")), None))


def width(codec: Codec) -> int:
    return len(codec.lane.model.signature.columns)


_VALUES = st.one_of(st.floats(), st.integers(), st.sampled_from([None, "Infinity", "x", True, [], 10**400]))
_NUMBERS = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**60), 2**60))


@given(data=st.data())
def test_what_is_read_in_one_pass_is_what_is_read_at_length(codec: Codec, data: st.DataObject) -> None:
    values = data.draw(st.sampled_from([_NUMBERS, _VALUES]))
    some = data.draw(st.lists(values, min_size=1, max_size=8))
    lengths = data.draw(st.lists(st.sampled_from([width(codec), width(codec), width(codec) - 1]), max_size=4))
    body: dict[str, Any] = {"instances": [[some[i % len(some)] for i in range(length)] for length in lengths]}
    if data.draw(st.booleans()):
        body["keys"] = data.draw(st.lists(st.one_of(st.none(), st.sampled_from(["a", "k" * 300])), max_size=4))
    if data.draw(st.booleans()):
        body["probabilities"] = data.draw(st.sampled_from([True, False, None]))
    sent = json.dumps(body).encode()
    assert asked(codec.question, sent) == asked(codec._any_question, sent)


def asked(question: Any, body: bytes) -> Any:
    """What a body asks, or how it is refused."""
    try:
        rows, form, keys = question(body)
    except InputError as error:
        return error.code, error.message, error.column, error.row
    return [list(row) for row in rows], form, keys
