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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

import salver
from salver.stream.counts import Counts
from tests.serving import SALVER
from tests.stream.brokers import KINDS, Broker, Sent, broker, wait_for
from tests.stream.test_stream import event

KEYS = 400
KILLS = 4
POISON_EVERY = 100


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
def streaming(server: Broker, topic: str, **options: Any) -> Iterator[tuple[Counts, threading.Thread]]:
    """`salver.stream` of `iris` in a thread, until the block is left."""
    counts, stop = Counts(), threading.Event()
    worker = threading.Thread(
        target=salver.stream,
        args=("iris", server.source(topic), server.sink(f"{topic}-out")),
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


def killed_at_random(server: Broker, store: Path, name: str, count: int, seconds: float, seed: int) -> tuple[int, int]:
    """Consumers killed and the broker too, at random, until every input has its answer. How many came twice, and kills."""
    server.fill(name, events(range(count)), divided=True)
    command = [SALVER, "stream", "iris", server.source(name, divided=True), server.sink(f"{name}-out")]
    command += ["--store", str(store), "--batch", "256"]
    draw, kills, broke, seen = random.Random(seed), 0, False, Seen()
    consumers = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(2)]
    try:
        deadline_s, broken_s = time.monotonic() + 90 + seconds * 4, time.monotonic() + seconds * 0.5
        while kills < KILLS or not broke or len(seen.ids) < count:
            assert time.monotonic() < deadline_s, f"{len(seen.ids)} of {count}"
            time.sleep(draw.uniform(0.5, 1.5) * seconds / 6)
            if kills < KILLS:
                at = draw.randrange(2)
                consumers[at].send_signal(signal.SIGKILL)
                consumers[at].wait()
                consumers[at] = subprocess.Popen(command, stderr=subprocess.DEVNULL)
                kills += 1
            if not broke and time.monotonic() > broken_s:
                server.kill()
                server.start()
                broke = True
            seen.add(server.read(f"{name}-out"))
        for consumer in consumers:
            consumer.terminate()
        codes = {consumer.wait(30) for consumer in consumers}
        assert codes <= {0, -signal.SIGTERM} and 0 in codes, "SIGTERM drains; one that only starts has nothing to drain"
    finally:
        for consumer in consumers:
            consumer.kill()
            consumer.wait()
    seen.add(server.read(f"{name}-out"))
    assert seen.ids.keys() == set(range(count))
    return seen.twice, kills


def test_killed_consumers_and_a_killed_broker(server: Broker, store: Path) -> None:
    killed_at_random(server, store, "killed", 4000, seconds=3, seed=int(os.environ.get("SALVER_TEST_SEED", "1")))


@pytest.mark.soak
def test_two_hundred_thousand_messages(server: Broker, store: Path) -> None:
    twice, kills = killed_at_random(server, store, "many", 200_000, seconds=40, seed=time.time_ns())
    print(f"200,000 messages, {kills} consumers and the broker killed: {twice} came twice", file=sys.stderr)


def outage(server: Broker, store: Path, count: int, gone_s: float) -> tuple[float, float]:
    """A backlog, poison after every 100, and a broker that is gone for a while. Memory after a tenth, and at the end, in MB."""
    server.fill("backlog", events(range(count), poison_every=POISON_EVERY))
    process, dead = psutil.Process(), set[int]()
    with streaming(server, "backlog", store=store, batch=256) as (counts, _):
        wait_for(lambda: counts.scored > count // 10)
        before = process.memory_info().rss
        assert counts.lag
        server.kill()
        wait_for(lambda: counts.waiting["source"] or counts.waiting["sink"] or counts.waiting["dead_letter"])
        time.sleep(gone_s)
        server.start()
        wait_for(lambda: counts.scored >= count, seconds=60 + count / 500)  # what was under way comes twice
        wait_for(lambda: counts.lag == 0)
        dead.update(int(one.headers["number"]) for one in server.read("backlog-dead"))
        assert dead == set(range(0, count, POISON_EVERY)), "all poison is set aside, and nothing else"
        assert counts.totals().dead.keys() == {"invalid_json"}
        return before / 2**20, process.memory_info().rss / 2**20


def test_a_broker_that_is_gone_is_waited_for_and_memory_stays(server: Broker, store: Path) -> None:
    before, after = outage(server, store, 6_000, gone_s=0.5)
    assert after < before + 60


@pytest.mark.soak
def test_a_million_and_a_broker_gone_for_a_minute(server: Broker, store: Path) -> None:
    before, after = outage(server, store, 1_000_000, gone_s=60)
    assert after < before + 100
