"""The codec of the native protocol: what it writes in short it also writes at length."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from salver.artifact.artifact import open_artifact
from salver.engine.batch import Batch
from salver.engine.ids import IdSource
from salver.engine.lane import Lane
from salver.engine.model import Model
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
