"""Redis Streams, by a Redis that runs: everything at least once, in order for each key, whoever is killed."""

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
from pathlib import Path
from typing import Any

import psutil
import pytest

import salver
from salver.stream.counts import Counts
from tests.serving import SALVER
from tests.stream.brokers import RedisServer, redis_server
from tests.stream.test_stream import event

KEYS = 50


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as started:
        yield started


def fill(server: RedisServer, stream: str, numbers: range, partitions: int = 0, poison_every: int = 0) -> None:
    """Events, numbered within their key, a key always in the same partition; after each `poison_every`, one that is torn."""
    with server.client() as client, client.pipeline(transaction=False) as pipeline:
        for number in numbers:
            key = number % KEYS
            name = f"{stream}:{key % partitions}" if partitions else stream
            headers = {"traceparent": f"00-{number:032x}-00f067aa0ba902b7-01", "number": str(number)}
            pipeline.xadd(name, {"value": json.dumps(event(number)), "key": f"k{key}", **headers})
            if poison_every and number % poison_every == 0:
                pipeline.xadd(name, {"value": "{torn", "key": f"k{key}", **headers})
            if number % 1000 == 999:
                pipeline.execute()
        pipeline.execute()


def answers(server: RedisServer, stream: str) -> list[dict[str, Any]]:
    with server.client() as client:
        found: Any = client.xrange(stream)
    return [{name.decode(): value.decode() for name, value in fields.items()} for _, fields in found]


def assert_all_in_order(made: list[dict[str, Any]], count: int) -> int:
    """Every input has its answer, one that comes twice has the same id, those of a key are in order; how many came twice."""
    ids: dict[int, set[str]] = {}
    first: dict[str, list[int]] = {}
    for one in made:
        number, made_id = int(one["number"]), json.loads(one["value"])["id"]
        if number not in ids:
            first.setdefault(one["key"], []).append(number)
        ids.setdefault(number, set()).add(made_id)
    assert ids.keys() == set(range(count))
    assert all(len(same) == 1 for same in ids.values())
    assert all(numbers == sorted(numbers) for numbers in first.values())
    return len(made) - count


def test_keys_headers_traces_and_dead_letters(server: RedisServer, store: Path) -> None:
    fill(server, "events", range(2000))
    with server.client() as client:
        client.xadd("events", {"value": "{torn", "key": "bad"})
    totals = salver.stream("iris", f"{server.url}/events", f"{server.url}/scored", store=store, until_empty=True)
    assert (totals.scored, totals.dead) == (2000, {"invalid_json": 1})
    made = answers(server, "scored")
    assert assert_all_in_order(made, 2000) == 0
    assert made[7]["key"] == "k7"
    assert made[7]["traceparent"].startswith("00-00000000000000000000000000000007-")
    assert json.loads(answers(server, "scored.dead")[0]["value"])["code"] == "invalid_json"
    logged = (
        salver.log(store).sql("select count(distinct id), count(distinct trace), any_value(source) from predictions").rows()
    )
    assert logged == [(2000, 2000, "redis")]
    with server.client() as client:
        assert client.xinfo_groups("events")[0]["lag"] == client.xinfo_groups("events")[0]["pending"] == 0


def killed_at_random(server: RedisServer, store: Path, name: str, count: int, seconds: float, seed: int) -> tuple[int, int]:
    """Consumers killed and the broker too, at random, until every input has its answer. How many came twice, and kills."""
    fill(server, name, range(count), partitions=4)
    command = [SALVER, "stream", "iris", f"{server.url}/{name}?partitions=4", f"{server.url}/{name}-out", "--store", str(store)]
    draw, kills = random.Random(seed), 0
    consumers = [subprocess.Popen([*command, "--batch", "256"], stderr=subprocess.DEVNULL) for _ in range(2)]
    try:
        deadline_s = time.monotonic() + 60 + seconds * 3
        broken_s = time.monotonic() + seconds * 0.5
        broke = False
        while True:
            time.sleep(draw.uniform(0.5, 1.5) * seconds / 6)
            if kills < 4:
                at = draw.randrange(2)
                consumers[at].send_signal(signal.SIGKILL)
                consumers[at].wait()
                consumers[at] = subprocess.Popen([*command, "--batch", "256"], stderr=subprocess.DEVNULL)
                kills += 1
            if not broke and time.monotonic() > broken_s:
                server.kill()
                server.start()
                broke = True
            done = {one["number"] for one in answers(server, f"{name}-out")}
            if kills == 4 and broke and len(done) == count:
                break
            assert time.monotonic() < deadline_s, f"{len(done)} of {count}"
        for consumer in consumers:
            consumer.terminate()
        codes = {consumer.wait(30) for consumer in consumers}
        assert codes <= {0, -signal.SIGTERM} and 0 in codes, "SIGTERM drains; one that only starts has nothing to drain"
    finally:
        for consumer in consumers:
            consumer.kill()
            consumer.wait()
    return assert_all_in_order(answers(server, f"{name}-out"), count), kills


def test_killed_consumers_and_a_killed_broker(server: RedisServer, store: Path) -> None:
    killed_at_random(server, store, "killed", 6000, seconds=4, seed=int(os.environ.get("SALVER_TEST_SEED", "1")))


@pytest.mark.soak
def test_two_hundred_thousand_messages(server: RedisServer, store: Path) -> None:
    twice, kills = killed_at_random(server, store, "many", 200_000, seconds=40, seed=time.time_ns())
    print(f"200,000 messages, {kills} consumers and the broker killed: {twice} came twice", file=sys.stderr)


def outage(server: RedisServer, store: Path, count: int, gone_s: float) -> tuple[float, float]:
    """A backlog, poison after every 100, and a broker that is gone for a while. Memory after a tenth, and at the end, in MB."""
    fill(server, "backlog", range(count), poison_every=100)
    counts, stop = Counts(), threading.Event()
    process = psutil.Process()
    worker = threading.Thread(
        target=salver.stream,
        args=("iris", f"{server.url}/backlog", f"{server.url}/backlog-out"),
        kwargs={"store": store, "counts": counts, "stop": stop, "batch": 256},
    )
    worker.start()
    try:
        wait_for(lambda: counts.scored > count // 10)
        before = process.memory_info().rss
        assert counts.lag
        server.kill()
        wait_for(lambda: counts.waiting["source"] or counts.waiting["sink"])
        time.sleep(gone_s)
        server.start()
        wait_for(lambda: counts.scored >= count, seconds=60 + count / 500)  # what was under way comes twice
        wait_for(lambda: counts.lag == 0)
        dead = {int(one["number"]) for one in answers(server, "backlog-out.dead")}
        assert dead == set(range(0, count, 100)), "all poison is set aside, and nothing else"
        return before / 2**20, process.memory_info().rss / 2**20
    finally:
        stop.set()
        worker.join(60)


def wait_for(holds: Any, seconds: float = 60) -> None:
    deadline_s = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_a_broker_that_is_gone_is_waited_for_and_memory_stays(server: RedisServer, store: Path) -> None:
    before, after = outage(server, store, 20_000, gone_s=0.5)
    assert after < before + 60


@pytest.mark.soak
def test_a_million_and_a_broker_gone_for_a_minute(server: RedisServer, store: Path) -> None:
    before, after = outage(server, store, 1_000_000, gone_s=60)
    assert after < before + 100
