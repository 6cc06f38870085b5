"""Messages in, answers out: files and pipes, poison, labels, versions, and the contract that brokers keep."""

from __future__ import annotations

import json
import resource
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

import salver
from salver.errors import ConfigError, Unreachable
from salver.stream.contract import Message, Outgoing
from salver.stream.counts import Counts
from salver.stream.files import FileSink
from salver.stream.places import beside, place
from salver.stream.run import Loop
from salver.stream.scoring import Scored
from salver.stream.steady import Steady, Stopped
from tests.serving import SALVER, free_port

ROW = [5.1, 3.5, 1.4, 0.2]


def event(number: int) -> dict[str, Any]:
    return {
        "x0": 4.5 + number % 30 / 10,
        "x1": 3.0,
        "x2": 1.0 + number % 50 / 10,
        "x3": 0.2 + number % 20 / 10,
        "who": f"c{number}",
    }


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_file_is_answered_line_by_line_and_only_once(store: Path, tmp_path: Path) -> None:
    source, sink = tmp_path / "events.jsonl", tmp_path / "scored.jsonl"
    events = [event(number) for number in range(3000)]
    source.write_text("".join(json.dumps(one) + "\n" for one in events))
    totals = salver.stream("iris", str(source), str(sink), key="who", store=store, until_empty=True)
    assert (totals.scored, totals.dead, totals.version) == (3000, {}, 1)
    made = lines(sink)
    with salver.load("iris", store=store) as model:
        rows = [[one[f"x{i}"] for i in range(4)] for one in events]
        assert [one["prediction"] for one in made] == model.predict(rows)
        assert [one["probabilities"] for one in made] == [
            pytest.approx(shares, abs=1e-15) for shares in model.predict_proba(rows)
        ]
    assert [one["key"] for one in made] == [f"c{number}" for number in range(3000)]
    assert len({one["id"] for one in made}) == 3000
    logged = salver.log(store).sql("select id::VARCHAR, key, route, source from iris").rows()
    assert sorted(logged) == sorted((one["id"], one["key"], "stream", "file") for one in made)
    with source.open("a") as more:
        more.write(json.dumps(event(7)) + "\n")
    assert salver.stream("iris", str(source), str(sink), store=store, until_empty=True).scored == 1


def test_poison_goes_to_the_dead_letters_with_its_reason(store: Path, tmp_path: Path) -> None:
    source, sink = tmp_path / "events.jsonl", tmp_path / "scored.jsonl"
    poison = ["{torn", '{"x0": "much", "x1": 1, "x2": 1, "x3": 1}', '{"x0": 1}', "[1, 2]"]
    source.write_text("".join(f"{poison[n // 100] if n % 100 == 50 else json.dumps(event(n))}\n" for n in range(400)))
    totals = salver.stream("iris", str(source), str(sink), store=store, until_empty=True)
    assert totals.scored == 396
    assert totals.dead == {"invalid_json": 1, "wrong_type": 1, "missing_column": 1, "wrong_width": 1}
    dead = lines(tmp_path / "scored.jsonl.dead")
    assert [one["value"] for one in dead] == poison
    assert dead[1]["reason"] == "column 'x0': expected a finite number"
    assert "much" not in dead[1]["reason"]


def test_bytes_and_long_values_are_told_in_dead_letters_as_far_as_a_broker_takes_them(store: Path, tmp_path: Path) -> None:
    source, sink = tmp_path / "events.jsonl", tmp_path / "scored.jsonl"
    source.write_bytes(b"\xff\x00\n" + b'"' * 600_000 + b"\n")
    assert salver.stream("iris", str(source), str(sink), store=store, until_empty=True).dead == {"invalid_json": 2}
    short, long = lines(tmp_path / "scored.jsonl.dead")
    assert (short["value"], short.get("size_bytes")) == ("\\xff\x00", None)
    assert long["size_bytes"] == 600_000
    assert len(json.dumps(long)) < 2**20


def test_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "scored.jsonl")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    messages = [Outgoing(b"x" * 60, None, [], ""), Outgoing(b"y" * 60, None, [], "")]
    sink.put(messages)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(Unreachable, match="can't be written"):
            sink.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    sink.flush()
    sink.close()
    assert (tmp_path / "scored.jsonl").read_bytes() == b"x" * 60 + b"\n" + b"y" * 60 + b"\n"


def test_labels_that_cannot_be_read_end_the_stream(store: Path, tmp_path: Path) -> None:
    source = tmp_path / "events.jsonl"
    source.touch()
    with pytest.raises(ConfigError, match="no file at"):
        salver.stream("iris", str(source), str(tmp_path / "out.jsonl"), labels=str(tmp_path / "none.jsonl"), store=store)


def test_labels_come_back_and_accuracy_is_known(store: Path, tmp_path: Path) -> None:
    source, sink, labels = (tmp_path / name for name in ("events.jsonl", "scored.jsonl", "labels.jsonl"))
    source.write_text("".join(json.dumps(event(n)) + "\n" for n in range(50)))
    salver.stream("iris", str(source), str(sink), key="who", store=store, until_empty=True)
    given = [{"id": one["id"], "label": one["prediction"]} for one in lines(sink)[:30]]
    given += [{"key": f"c{n}", "label": 2} for n in range(30, 40)] + [{"label": 1}]
    labels.write_text("".join(json.dumps(one) + "\n" for one in given))
    totals = salver.stream("iris", str(source), str(sink), labels=str(labels), store=store, until_empty=True)
    assert totals.labels == 40
    done = subprocess.run([SALVER, "accuracy", "iris", "--store", str(store), "--json"], capture_output=True, text=True)
    assert '"accuracy"' in done.stdout, done.stderr


def test_pipes_and_a_config_file(store: Path, tmp_path: Path) -> None:
    (tmp_path / "stream.toml").write_text('model = "iris@2"\nsource = "-"\nsink = "nowhere.jsonl"\nkey = "who"\n')
    command = [SALVER, "stream", "iris@2", "-", "-", "--config", str(tmp_path / "stream.toml"), "--store", str(store)]
    given = json.dumps(event(1)) + "\n{torn\n" + json.dumps(ROW)
    done = subprocess.run(command, input=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["version"], one.get("key")) for one in made] == [(2, "c1"), (2, None)]
    assert '"code":"invalid_json"' in done.stderr
    assert "2 messages scored, 1 in the dead-letter place" in done.stderr


def test_another_version_takes_over_without_a_stop(models: Path, tmp_path: Path) -> None:
    source, sink = tmp_path / "events.jsonl", tmp_path / "scored.jsonl"
    source.touch()
    stop, port = threading.Event(), free_port()
    worker = threading.Thread(
        target=salver.stream,
        args=("iris@live", str(source), str(sink)),
        kwargs={"store": models, "log": False, "follow_s": 0.05, "stop": stop, "metrics": ("127.0.0.1", port)},
    )
    registry = salver.Registry(models)
    registry.promote("iris@1", "live")
    worker.start()
    try:
        versions: list[int] = []
        deadline_s = time.monotonic() + 30
        while 2 not in versions and time.monotonic() < deadline_s:
            with source.open("a") as more:
                more.write(json.dumps(event(1)) + "\n")
            time.sleep(0.02)
            versions = [one["version"] for one in lines(sink)] if sink.exists() else []
            if versions and registry.route("iris").aliases["live"] == 1:
                registry.promote("iris@2", "live")
        assert versions == sorted(versions)
        assert set(versions) == {1, 2}
        found = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        assert 'salver_stream_scored_total{model="iris",version="2"}' in found
        assert 'salver_stream_unreachable{model="iris",side="sink"} 0.0' in found
    finally:
        stop.set()
        worker.join(30)
    assert not worker.is_alive()


class Recorded:
    """A source, a sink and dead letters that note what is asked of them, and fail as they are told."""

    name, ended, leaving = "test", False, None

    def __init__(self, batches: list[list[Message]], failures: dict[str, int], ahead: bool = False) -> None:
        self.batches = batches
        self.ahead = ahead
        self.failures = failures
        self.noted: list[str] = []

    def _note(self, what: str) -> None:
        self.noted.append(what)
        if self.failures.get(what, 0):
            self.failures[what] -= 1
            raise Unreachable(what)

    def take(self, most: int, wait_s: float) -> list[Message]:
        self._note("take")
        return self.batches.pop(0) if self.batches else []

    def done(self, messages: Sequence[Message]) -> None:
        self._note("done")

    def lag(self) -> int | None:
        return len(self.batches)

    def put(self, messages: Sequence[Outgoing]) -> None:
        self._note("put")

    def flush(self) -> None:
        self._note("flush")

    def close(self) -> None:
        pass


class Echo:
    version = 1

    def __call__(self, messages: Sequence[Message]) -> Scored:
        return Scored([Outgoing(message.value, None, [], "") for message in messages], [], b"", {1: len(messages)})


def looped(place: Recorded, stop: threading.Event) -> Counts:
    counts = Counts()
    loop: Any = Loop
    loop(place, place, place, Echo(), None, counts, Steady(counts, stop), 10).run(stop, True)
    return counts


def test_nothing_is_done_before_it_is_acknowledged_and_all_is_tried_again() -> None:
    place = Recorded([[Message(b"1", "", 1, None, [])]], {"take": 1, "flush": 2, "done": 1})
    counts = looped(place, threading.Event())
    assert place.noted == ["take", "take", "put", "flush", "flush", "flush", "done", "done", "take"]
    assert counts.scored == 1
    assert dict(counts.retries) == {"source": 2, "sink": 2}


def test_where_a_sink_sends_by_itself_the_next_are_scored_meanwhile_and_none_is_done_before() -> None:
    place = Recorded([[Message(b"1", "", 1, None, [])], [Message(b"2", "", 2, None, [])]], {"flush": 1}, ahead=True)
    counts = looped(place, threading.Event())
    assert place.noted == ["take", "put", "take", "flush", "flush", "done", "put", "take", "flush", "done", "take"]
    assert counts.scored == 2


def test_what_cannot_be_sent_when_it_stops_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("salver.stream.steady.DRAIN_S", 0.2)
    place, stop = Recorded([[Message(b"1", "", 1, None, [])]], {"flush": 10**6}), threading.Event()
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(Stopped):
        looped(place, stop)
    assert "done" not in place.noted


def test_places_are_read_and_named_without_passwords() -> None:
    at = place("redis://me:secret@host:6380/2/events?partitions=4")
    assert (at.topic, at.name, at.options) == ("events", "redis://host:6380/2/events", {"partitions": "4"})
    assert beside(at).topic == "events.dead"
    assert place("scored.jsonl").scheme == "file"
    with pytest.raises(ConfigError, match="known are kafka"):
        place("smoke://host/signals")
