"""Brokers that run, the same tests for each: everything at least once, in order for each key, whoever is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

import salver
from salver.stream.contract import Outgoing, Sink, Source
from salver.stream.counts import Counts
from salver.stream.places import Place, open_sink, open_source, place
from tests.serving import SALVER, free_port
from tests.stream.brokers import KINDS, Broker, Sent, broker, wait_for
from tests.stream.cutting import way
from tests.stream.test_stream import event

KEYS = 400
POISON_EVERY = 100
PATIENCE_S = 90.0
"""Without a single answer; how long all of them take is the machine's business."""


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Broker]:
    with broker(request.param) as started:
        yield started


def events(numbers: range, poison_every: int = 0) -> Iterator[Sent]:
    """Events, numbered; after each `poison_every`, one that is torn."""
    for number in numbers:
        key = f"k{number % KEYS}"
        headers = {"traceparent": f"00-{number:032x}-00f067aa0ba902b7-01", "number": str(number)}
        yield Sent(key, json.dumps(event(number)).encode(), headers)
        if poison_every and number % poison_every == 0:
            yield Sent(key, b"{torn", headers)


class Seen:
    """What came, looked at as it comes: every input once, the same id when again, those of a key in their order."""

    def __init__(self) -> None:
        self.ids: dict[int, str] = {}
        self.count = 0
        self._last: dict[str, int] = {}

    def add(self, made: list[Sent]) -> None:
        for one in made:
            number, made_id = int(one.headers["number"]), json.loads(one.value)["id"]
            self.count += 1
            if number not in self.ids:
                assert number > self._last.get(one.key, -1), f"{number} of {one.key} came after {self._last[one.key]}"
                self._last[one.key] = number
            assert self.ids.setdefault(number, made_id) == made_id

    @property
    def twice(self) -> int:
        return self.count - len(self.ids)


@contextmanager
def streaming(server: Broker, topic: str, source: str = "", **options: Any) -> Iterator[tuple[Counts, threading.Thread]]:
    """`salver.stream` of `iris` in a thread, until the block is left."""
    counts, stop = Counts(), threading.Event()
    worker = threading.Thread(
        target=salver.stream,
        args=("iris", source or server.source(topic), server.sink(f"{topic}-out")),
        kwargs={"dead_letter": server.sink(f"{topic}-dead"), "counts": counts, "stop": stop, **options},
    )
    worker.start()
    try:
        yield counts, worker
    finally:
        stop.set()
        worker.join(60)
        assert not worker.is_alive()


def test_keys_headers_traces_and_dead_letters(server: Broker, store: Path) -> None:
    server.fill("events", [*events(range(500)), Sent("bad", b"{torn", {"number": "500"})])
    totals = salver.stream(
        "iris",
        server.source("events"),
        server.sink("scored"),
        dead_letter=server.sink("poison"),
        store=store,
        until_empty=True,
    )
    assert (totals.scored, totals.dead) == (500, {"invalid_json": 1})
    seen, made = Seen(), server.read("scored")
    seen.add(made)
    assert seen.ids.keys() == set(range(500))
    assert seen.twice == 0
    one = next(message for message in made if message.headers["number"] == "7")
    assert (one.key, one.headers["traceparent"][:35]) == ("k7", "00-00000000000000000000000000000007")
    answer = json.loads(one.value)
    assert (answer["key"], answer["model"], answer["version"]) == ("k7", "iris", 1)
    assert one.id in ("", answer["id"])
    (dead,) = server.read("poison")
    told = json.loads(dead.value)
    assert (dead.key, dead.headers["number"], told["code"], told["value"]) == ("bad", "500", "invalid_json", "{torn")
    log = salver.log(store).sql("select count(distinct id), count(distinct trace), any_value(source) from predictions")
    assert log.rows() == [(500, 500, server.sink("scored").partition(":")[0])]


def test_what_is_done_does_not_come_again(server: Broker, store: Path) -> None:
    def until_empty() -> int:
        return salver.stream(
            "iris", server.source("again"), server.sink("again-out"), store=store, log=False, until_empty=True
        ).scored

    server.fill("again", events(range(50)))
    assert until_empty() == 50
    assert until_empty() == 0


class Consumers:
    """`salver stream` of `iris` in processes of one group, which can be killed: another takes the place of each."""

    def __init__(self, command: list[str], told: Path, count: int = 2) -> None:
        self._command, self._told = command, told
        self._all = [self._start() for _ in range(count)]

    def __enter__(self) -> Consumers:
        return self

    def __exit__(self, *_: object) -> None:
        for consumer in self._all:
            consumer.kill()
            consumer.wait()

    @property
    def told(self) -> str:
        """The last of what they said."""
        return self._told.read_text()[-2000:]

    def kill(self, at: int) -> None:
        self._all[at].send_signal(signal.SIGKILL)
        self._all[at].wait()
        self._all[at] = self._start()

    def drain(self) -> None:
        for consumer in self._all:
            consumer.terminate()
        codes = {consumer.wait(30) for consumer in self._all}
        assert codes <= {0, -signal.SIGTERM}, "SIGTERM drains, once there is something to drain"

    def _start(self) -> subprocess.Popen[bytes]:
        with self._told.open("ab") as told:
            return subprocess.Popen(self._command, stdout=told, stderr=told)


def killed_at_random(server: Broker, store: Path, name: str, count: int, kills: int, breaks: int, seed: int) -> int:
    """Consumers killed and the broker too, at random places of the work. All is answered; returned is how many came twice."""
    server.fill(name, events(range(count)), divided=True)
    command = [SALVER, "stream", "iris", server.source(name, divided=True), server.sink(f"{name}-out")]
    command += ["--store", str(store), "--batch", "256"]
    draw, seen = random.Random(seed), Seen()
    deaths = sorted((draw.uniform(0, 0.9 * count), broker) for broker in [True] * breaks + [False] * kills)
    with Consumers(command, store.parent / "told.txt") as consumers:
        answered, stalled_s = 0, time.monotonic() + PATIENCE_S
        while deaths or len(seen.ids) < count:
            time.sleep(draw.uniform(0.05, 0.3))
            seen.add(server.read(f"{name}-out"))
            if len(seen.ids) > answered:
                answered, stalled_s = len(seen.ids), time.monotonic() + PATIENCE_S
            if deaths and answered > deaths[0][0]:
                if deaths.pop(0)[1]:
                    server.kill()
                    server.start()
                else:
                    consumers.kill(draw.randrange(2))
            assert time.monotonic() < stalled_s, f"{answered} of {count}, and no more come: {consumers.told}"
        consumers.drain()
    seen.add(server.read(f"{name}-out"))
    assert seen.ids.keys() == set(range(count))
    return seen.twice


@pytest.mark.alone
def test_killed_consumers_and_a_killed_broker(server: Broker, store: Path) -> None:
    seed = int(os.environ.get("SALVER_TEST_SEED", "1"))
    killed_at_random(server, store, "killed", 8_000, kills=4, breaks=1, seed=seed)


@pytest.mark.soak
def test_two_hundred_thousand_messages(server: Broker, store: Path) -> None:
    kills, breaks = 20, 3
    started_s = time.monotonic()
    twice = killed_at_random(server, store, "many", 200_000, kills, breaks, seed=time.time_ns())
    took_s = time.monotonic() - started_s
    print(f"200,000 messages, {kills} kills, {breaks} of the broker: {twice} came twice, {took_s:.0f} s", file=sys.stderr)


def test_partitions_that_change_hands_keep_their_order(server: Broker) -> None:
    """Another process comes, ends while it is still given what was the first one's, and comes again."""
    count, last, seen = 20_000, dict[str, int](), set[int]()
    server.fill("handed", events(range(count)), divided=True)
    at = place(server.source("handed", divided=True))

    def read(source: Source) -> None:
        taken = source.take(512, 0.1)
        for message in taken:
            number, key = int(dict(message.headers)["number"] or b""), (message.key or b"").decode()
            assert number <= last.get(key, number % KEYS - KEYS) + KEYS, f"{number} of {key} came after {last.get(key)}"
            last[key] = max(number, last.get(key, 0))
            seen.add(number)
        source.done(taken)

    sources, started_s, moves = [open_source(at)], time.monotonic(), [(0.5, True), (2.5, False), (3.0, True)]
    try:
        while len(seen) < count or moves:
            passed_s = time.monotonic() - started_s
            assert passed_s < PATIENCE_S, f"{len(seen)} of {count} came"
            if moves and passed_s > moves[0][0]:
                if moves.pop(0)[1]:
                    sources.append(open_source(at))
                else:
                    sources.pop().close()
            for source in sources:
                read(source)
            time.sleep(0.2)
    finally:
        for source in sources:
            source.close()


def cut_again_and_again(server: Broker, store: Path, name: str, cuts: int) -> None:
    """The way to the source is cut while a large answer is on it, and no message is lost."""
    if "kafka://" in server.source(name):
        return  # a client of Kafka is told by the brokers where they are, and goes there
    count = 2_500 + 1_000 * cuts  # more than a broker sends ahead is left at the last cut
    server.fill(name, events(range(count)))
    with way(server.source(name)) as cutting:
        source = cutting.through(server.source(name))
        with streaming(server, name, source=source, store=store, log=False, batch=100) as (counts, worker):
            for cut in range(1, cuts + 1):
                wait_for(lambda cut=cut: counts.scored > cut * 500 or not worker.is_alive())
                cutting.cut()
                wait_for(lambda cut=cut: cutting.cuts == cut or not worker.is_alive())
            wait_for(lambda: (counts.scored >= count and counts.lag == 0) or not worker.is_alive(), 60 + count / 500)
            assert worker.is_alive()
        assert cutting.connections > cutting.cuts, "each that was cut was made again"
        if "redis://" in source:  # NATS and RabbitMQ push: nobody need have waited for what was lost
            assert counts.retries["source"] >= 1
    all_answered(server, f"{name}-out", count)


def test_an_answer_that_is_lost_on_the_way_loses_no_message(server: Broker, store: Path) -> None:
    cut_again_and_again(server, store, "torn", cuts=2)


@pytest.mark.soak
def test_a_hundred_answers_that_are_lost_on_the_way(server: Broker, store: Path) -> None:
    cut_again_and_again(server, store, "shreds", cuts=100)


class Watched:
    """`salver stream` of `iris` as a process of its own: what its metrics say, and the most memory it was seen to have."""

    def __init__(self, server: Broker, topic: str, store: Path, *options: str) -> None:
        self._port = free_port()
        command = [SALVER, "stream", "iris", server.source(topic), server.sink(f"{topic}-out"), "--store", str(store)]
        command += ["--dead-letter", server.sink(f"{topic}-dead"), "--metrics-port", str(self._port), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.peak_mb = 0.0

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def read(self) -> dict[str, float]:
        """Metrics by name, and by name and the label beside the model's."""
        assert self.process.poll() is None
        self.peak_mb = max(self.peak_mb, psutil.Process(self.process.pid).memory_info().rss / 2**20)
        try:
            page = httpx.get(f"http://127.0.0.1:{self._port}/metrics", timeout=30).text
        except httpx.ConnectError:
            return {}  # it only starts
        found: dict[str, float] = {}
        for sample in (sample for family in text_string_to_metric_families(page) for sample in family.samples):
            label = "".join(value for name, value in sample.labels.items() if name != "model")
            for name in {sample.name, f"{sample.name} {label}".strip()}:
                found[name] = found.get(name, 0.0) + sample.value
        return found

    def wait_for(self, holds: Callable[[dict[str, float]], object], seconds: float = 60.0) -> None:
        deadline_s = time.monotonic() + seconds
        while not holds(self.read()):
            assert time.monotonic() < deadline_s, "it did not come to be"
            time.sleep(0.05)


def outage(server: Broker, store: Path, count: int, gone_s: float) -> tuple[float, float]:
    """A backlog, poison after every 100, and a broker that is gone for a while. Peaks of memory: of the first tenth, of all."""
    server.fill("backlog", events(range(count), poison_every=POISON_EVERY))
    scored, poison = "salver_stream_scored_total", len(range(0, count, POISON_EVERY))
    with Watched(server, "backlog", store, "--batch", "256") as stream:
        stream.wait_for(lambda seen: seen.get(scored, 0) > count // 10 and seen.get("salver_stream_lag"), 60 + count / 2000)
        before_mb = stream.peak_mb
        server.kill()
        stream.wait_for(lambda seen: seen["salver_stream_unreachable"])
        time.sleep(gone_s)
        assert stream.read()["salver_stream_retries_total"] > 0
        server.start()
        # What was under way comes twice.
        stream.wait_for(lambda seen: seen[scored] >= count and seen.get("salver_stream_lag") == 0, 60 + count / 500)
        seen = stream.read()
        assert seen["salver_stream_unreachable"] == 0
        assert seen["salver_stream_dead_total invalid_json"] == seen["salver_stream_dead_total"] >= poison
        dead = {int(one.headers["number"]) for one in server.read("backlog-dead")}
        assert dead == set(range(0, count, POISON_EVERY)), "all poison is set aside, and nothing else"
        stream.process.terminate()
        assert stream.process.wait(30) == 0
        return before_mb, stream.peak_mb


def all_answered(server: Broker, topic: str, count: int) -> int:
    """Whether every input has its answer, those of a key in order. How many came twice."""
    seen = Seen()
    seen.add(server.read(topic))
    assert seen.ids.keys() == set(range(count))
    return seen.twice


def test_a_broker_that_is_gone_is_waited_for_and_memory_stays(server: Broker, store: Path) -> None:
    before_mb, after_mb = outage(server, store, 6_000, gone_s=0.5)
    assert after_mb < before_mb + 60
    all_answered(server, "backlog-out", 6_000)


@pytest.mark.soak
def test_a_million_and_a_broker_gone_for_a_minute(server: Broker, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.stream.brokers.kafka.MOCK_PARTITIONS", 256)  # else the fullest forgets answers
    count = int(os.environ.get("SALVER_TEST_BACKLOG", "1_000_000"))
    before_mb, after_mb = outage(server, store, count, gone_s=60)
    twice = all_answered(server, "backlog-out", count)
    print(f"{count:,} messages: {before_mb:.0f} MB, then {after_mb:.0f} MB; {twice} came twice", file=sys.stderr)
    assert after_mb < before_mb + 60


class Slow:
    """A sink that takes its time for each batch."""

    def __init__(self, sink: Sink, seconds: float) -> None:
        self.name, self.ahead, self.close = sink.name, sink.ahead, sink.close
        self._sink, self._seconds = sink, seconds
        self._held = self.most = 0

    def put(self, messages: Sequence[Outgoing]) -> None:
        self._held += len(messages)
        self.most = max(self.most, self._held)
        self._sink.put(messages)

    def flush(self) -> None:
        time.sleep(self._seconds)
        self._sink.flush()
        self._held = 0


def test_a_slow_sink_slows_the_source_and_is_seen(server: Broker, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow: list[Slow] = []

    def open_slow(at: Place) -> Slow:
        slow.append(Slow(open_sink(at), 0.05))
        return slow[-1]

    monkeypatch.setattr("salver.stream.run.open_sink", open_slow)
    server.fill("slowly", events(range(4_000)))
    with streaming(server, "slowly", store=store, log=False, batch=100) as (counts, _):
        wait_for(lambda: counts.lag)
        wait_for(lambda: counts.scored >= 4_000)
    assert 0 < slow[0].most <= 100, "what waits, waits in the broker"
    assert counts.seconds["sink"] > 2.0, "where the time went"
    assert all_answered(server, "slowly-out", 4_000) == 0
