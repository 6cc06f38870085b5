"""A stream goes by the model's route: canaries answer their share, shadows are asked too, and who answers may change."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

import salver
from salver.embedded.model import Awake
from salver.engine.routing import Routing, Share, point_of
from salver.stream.contract import Message
from salver.stream.counts import Counts
from salver.stream.scoring import Scoring
from salver.stream.shadows import Shadows
from tests.stream.brokers import wait_for
from tests.stream.test_stream import event, lines

COUNT = 400


@pytest.fixture
def routed(models: Path, tmp_path: Path) -> salver.Registry:
    """The two versions of `iris`, in a store whose route is this test's own."""
    shutil.copytree(models / "models", tmp_path / "routed" / "models")
    return salver.Registry(tmp_path / "routed")


def scored(registry: salver.Registry, folder: Path, reference: str = "iris") -> list[int]:
    """The versions that answered events 0 to COUNT, each with the key `cNUMBER`."""
    source, sink = folder / "events.jsonl", folder / "scored.jsonl"
    source.write_text("".join(json.dumps(event(n)) + "\n" for n in range(COUNT)))
    salver.stream(reference, str(source), str(sink), key="who", store=folder / "routed", until_empty=True)
    made = lines(sink)
    assert [one["key"] for one in made] == [f"c{n}" for n in range(COUNT)], "in the order of the events, whoever answers"
    return [one["version"] for one in made]


@pytest.mark.parametrize(("sticky", "reference"), [("", "iris"), ("key", "iris@champion")])
def test_a_canary_answers_the_keys_of_its_share(routed: salver.Registry, tmp_path: Path, sticky: str, reference: str) -> None:
    routed.canary("iris@2", 30, sticky=sticky)
    assert scored(routed, tmp_path, reference) == [2 if point_of("iris", f"c{n}") < 30 else 1 for n in range(COUNT)]
    log = salver.log(tmp_path / "routed").sql("select distinct version, route from predictions order by 1")
    assert log.rows() == [(1, "stream"), (2, "canary")]


def test_a_version_that_is_asked_for_answers_all(routed: salver.Registry, tmp_path: Path) -> None:
    routed.canary("iris@2", 30)
    assert set(scored(routed, tmp_path, "iris@1")) == {1}


def test_a_canary_comes_and_a_shadow_is_asked_while_the_stream_runs(routed: salver.Registry, tmp_path: Path) -> None:
    source, sink, stop, counts = tmp_path / "events.jsonl", tmp_path / "scored.jsonl", threading.Event(), Counts()
    source.touch()
    worker = threading.Thread(
        target=salver.stream,
        args=("iris", str(source), str(sink)),
        kwargs={"store": tmp_path / "routed", "key": "who", "follow_s": 0.05, "stop": stop, "counts": counts},
    )
    worker.start()

    def send() -> None:
        before = counts.scored
        with source.open("a") as more:
            more.write("".join(json.dumps(event(n)) + "\n" for n in range(40)))
        wait_for(lambda: counts.scored >= before + 40)

    def shadowed() -> int:
        send()
        return sum(shadow.total.rows for shadow in counts.shadows.all) if counts.shadows else 0

    def canary() -> int:
        send()
        return counts.answered[2]

    try:
        send()
        assert counts.answered.keys() == {1}
        routed.shadow("iris@2")
        wait_for(shadowed)
        routed.end_shadow("iris@2")
        wait_for(lambda: not (counts.shadows and counts.shadows.all))
        routed.canary("iris@2", 50)
        wait_for(canary)
    finally:
        stop.set()
        worker.join(30)
    log = salver.log(tmp_path / "routed").sql("select distinct version, route from predictions order by 1, 2")
    assert log.rows() == [(1, "stream"), (2, "canary"), (2, "shadow")]


def test_headers_and_columns_hold_a_message_with_a_version(models: Path) -> None:
    from salver.artifact.artifact import open_artifact
    from salver.engine.model import Model

    registry = salver.Registry(models)
    awake = {version: Awake(Model(open_artifact(registry.fetch("iris", version)), version)) for version in (1, 2)}

    def versions(sticky: str, messages: Sequence[Message]) -> list[int]:
        scoring = Scoring("test", None, None, Shadows(pytest.fail))
        scoring.install(Routing(1, shares=(Share(2, 50.0),), sticky=sticky), awake)
        return [json.loads(one.value)["version"] for one in scoring(messages).answers]

    def expected(value: str) -> int:
        return 2 if point_of("iris", value) < 50 else 1

    users = [f"u{n}" for n in range(20)]
    rows = [json.dumps(event(n)).encode() for n in range(20)]
    by_header = [Message(rows[0], "", user, None, [("X-User", user.encode())]) for user in users]
    assert versions("header:x-user", by_header) == [expected(user) for user in users]
    assert versions("header:x-user", [Message(rows[0], "", "none", None, [])]) == [1]
    by_column = [Message(row, "", n, None, []) for n, row in enumerate(rows)]
    assert versions("field:x0", by_column) == [expected(str(4.5 + n / 10).removesuffix(".0")) for n in range(20)]
    again = [Message(rows[0], "", n, None, []) for n in range(50)]
    assert versions("", again) == versions("", again), "without a key, a message that comes again has the same version"
    assert set(versions("", again)) == {1, 2}
