"""The client without I/O: what it asks for, when it asks again, and what it makes of answers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from salver.client.answers import Reply
from salver.client.errors import ClientError, DeadlineExceeded, RequestRefused, Unreachable
from salver.client.retries import NOT_BEGUN, Retries, Unanswered
from salver.client.service import TIMEOUT, Call, Pause, Service
from salver.server.problems import STATUS

ANSWER = Reply(200, {}, b'{"prediction":1,"id":"a","model":"m","version":2}')
LOST = Unanswered("it broke", sent=True)
NOBODY = Unanswered("nobody listens", sent=False)


class Clock:
    """Time that passes where steps say so."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


def problem(status: int, code: str, **headers: str) -> Reply:
    return Reply(status, headers, json.dumps({"detail": f"it is {code}", "code": code, "row": 3, "column": "x"}).encode())


def run(
    steps: Any, outcomes: list[Any], clock: Clock | None = None, takes_s: float = 0.0
) -> tuple[Any, list[Call], list[float]]:
    """What steps come to when calls have these outcomes, each after `takes_s`; the calls, and the pauses between."""
    calls: list[Call] = []
    pauses: list[float] = []
    outcome: Any = None
    left = list(outcomes)
    while True:
        try:
            step = steps.send(outcome)
        except StopIteration as done:
            assert not left
            return done.value, calls, pauses
        if isinstance(step, Pause):
            pauses.append(step.seconds)
            outcome = None
            if clock:
                clock.s += step.seconds
        else:
            calls.append(step)
            outcome = left.pop(0)
            if clock:
                clock.s += takes_s


def body(call: Call) -> Any:
    return json.loads(call.content)


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([1, 2.5, "a", None], {"features": [1, 2.5, "a", None]}),
        ({"a": 1}, {"features": {"a": 1}}),
        ([[1, 2], [3, 4]], {"instances": [[1, 2], [3, 4]]}),
        ([{"a": 1}], {"instances": [{"a": 1}]}),
        ([], {"instances": []}),
        (np.array([[1.5], [2.5]]), {"instances": [[1.5], [2.5]]}),
        (np.array([1.5, 2.5]), {"features": [1.5, 2.5]}),
        ([np.array([1, 2])], {"instances": [[1, 2]]}),
        ({"a": np.float32(1.5), "b": np.int64(2)}, {"features": {"a": 1.5, "b": 2}}),
    ],
)
def test_rows(rows: Any, wanted: Any) -> None:
    _, (call,), _ = run(Service().predict(rows), [ANSWER])
    assert (call.method, call.path, body(call)) == ("POST", "/predict", wanted)


def test_a_row_and_its_answer() -> None:
    reply = Reply(200, {}, b'{"prediction":1,"id":"a","model":"m","version":2,"probabilities":[0.2,0.8],"classes":[0,1]}')
    asked = Service(model="m@2").predict([1], key="k", probabilities=True)
    answer, (call,), _ = run(asked, [reply])
    assert (call.path, body(call)) == ("/models/m@2/predict", {"features": [1], "key": "k", "probabilities": True})
    assert (answer.prediction, answer.id, answer.probabilities, answer.classes) == (1, "a", [[0.2, 0.8]], [0, 1])
    assert (answer.model, answer.version) == ("m", 2)


def test_rows_and_their_answers() -> None:
    reply = Reply(200, {}, b'{"predictions":[1,0],"ids":["a","b"],"model":"m","version":2}')
    answer, (call,), _ = run(Service().predict([[1], [2]], model="a b", keys=["k", None]), [reply])
    assert (call.path, body(call)["keys"]) == ("/models/a%20b/predict", ["k", None])
    assert (answer.predictions, answer.ids) == ([1, 0], ["a", "b"])
    with pytest.raises(ClientError, match="2 rows"):
        _ = answer.prediction


@pytest.mark.parametrize("asked", [{"rows": [[1]], "key": "k"}, {"rows": [1], "keys": ["k"]}, {"rows": [object()]}])
def test_what_is_no_question(asked: Any) -> None:
    with pytest.raises(ClientError):
        run(Service().predict(**asked), [])


def test_labels() -> None:
    counts = Reply(200, {}, b'{"taken":1}')
    made, (call,), _ = run(Service(model="m@3").label("id", np.int64(1), weight=2.0), [counts])
    assert made == {"taken": 1}
    assert (call.path, body(call), call.repeatable) == ("/models/m/labels", {"id": "id", "weight": 2.0, "label": 1}, True)
    models = Reply(200, {}, b'{"models":[{"name":"only"}]}')
    _, (first, second), _ = run(Service().labels({"k": 1, "l": None}, by="key"), [models, counts])
    assert (first.path, second.path) == ("/models", "/models/only/labels")
    assert body(second) == {"labels": [{"key": "k", "label": 1}, {"key": "l", "label": None}]}
    two = Reply(200, {}, b'{"models":[{"name":"a"},{"name":"b"}]}')
    with pytest.raises(ClientError, match="a, b"):
        run(Service().label("id", 1), [two])
    with pytest.raises(ClientError, match="or else for a key"):
        run(Service().label(None, 1), [])


def test_a_refusal_says_where() -> None:
    with pytest.raises(RequestRefused, match="it is wrong_type") as refused:
        run(Service().predict([1]), [problem(422, "wrong_type")])
    error = refused.value
    assert (error.status, error.code, error.row, error.column) == (422, "wrong_type", 3, "x")
    with pytest.raises(RequestRefused, match="status 500"):
        run(Service().predict([1]), [Reply(500, {}, b"<html>")])
    with pytest.raises(ClientError, match="address"):
        run(Service().predict([1]), [Reply(200, {}, b"<html>")])


def test_a_prediction_is_asked_again_only_where_it_was_not_begun() -> None:
    service = Service(retries=Retries(draw=lambda: 1.0))
    for outcome in (NOBODY, *(problem(STATUS[code], code) for code in NOT_BEGUN)):
        answer, calls, pauses = run(service.predict([1]), [outcome, outcome, ANSWER])
        assert (answer.prediction, len(calls), pauses) == (1, 3, [0.1, 0.2])
    for outcome, error in (
        (LOST, Unreachable),
        (problem(503, "model_crashed"), RequestRefused),
        (Reply(502, {}, b""), RequestRefused),
    ):
        with pytest.raises(error):
            run(service.predict([1]), [outcome])


def test_a_label_is_asked_again_when_its_answer_got_lost() -> None:
    for outcome in (NOBODY, LOST, Reply(502, {}, b"<html>")):
        made, calls, _ = run(Service(model="m").label("a", 1), [outcome, Reply(200, {}, b"{}")])
        assert (made, len(calls)) == ({}, 2)


def test_tries_have_an_end() -> None:
    with pytest.raises(Unreachable, match="nobody"):
        run(Service(retries=Retries(2)).predict([1]), [NOBODY] * 3)


def test_a_server_says_when_to_come_back() -> None:
    clock = Clock()
    refused = problem(429, "rate_limited", **{"retry-after": "7"})
    _, (first, second), pauses = run(Service(now=clock).predict([1]), [refused, ANSWER], clock, takes_s=1)
    assert pauses == [7]
    assert (first.headers[TIMEOUT], second.headers[TIMEOUT]) == ("30000", "22000")
    assert (first.timeout_s, second.timeout_s) == (30, 22)


def test_a_deadline_is_that_of_all_tries() -> None:
    clock = Clock()
    refused = problem(503, "loading", **{"retry-after": "2"})
    with pytest.raises(RequestRefused, match="loading"):
        run(Service(now=clock).predict([1], timeout_s=5), [refused, refused], clock, takes_s=1)
    with pytest.raises(DeadlineExceeded):
        run(Service().predict([1]), [Unanswered("too late", sent=True, late=True)])
    with pytest.raises(DeadlineExceeded):
        run(Service(model="m").label("a", 1), [problem(504, "deadline_exceeded")])


def test_readiness_is_not_waited_for() -> None:
    assert run(Service().is_ready(), [Reply(503, {}, b"{}")])[0] is False
    assert run(Service().is_ready(), [Reply(200, {}, b"{}")])[0] is True
    with pytest.raises(Unreachable):
        run(Service().is_ready(), [NOBODY])
