"""Streams, beside a bare consume → produce loop of the same client library: `python -m benchmarks.stream`.

For each broker, by turns: `salver stream` (decoded, checked, scored, logged, answered, committed) and a loop that only passes
the same messages on, with the same settings: batches of 1,024, acknowledged before they are committed. Each is a process by
itself. What is counted begins with the first batch that is done and ends with the last.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.tables import fill
from tests.stream.brokers import KINDS, Broker, Sent, broker

BATCH = 1024
AHEAD = 2048
ROUNDS = 3
MESSAGES = {"redis": 60_000, "kafka": 60_000, "nats": 40_000, "amqp": 15_000}
PAGE = Path(__file__).resolve().parents[1] / "docs" / "measured.md"
NAMES = {"redis": "Redis Streams, redis-py", "kafka": "Kafka (librdkafka's mock cluster), confluent-kafka",
         "nats": "NATS JetStream, nats-py", "amqp": "RabbitMQ, aio-pika"}  # fmt: skip

Done = Callable[[int], None]
"""Told how many messages are done, after each batch."""


class Clock:
    """Messages/s from the first batch that is done to the last."""

    def __init__(self) -> None:
        self.count = self.first = 0
        self.started_s = self.ended_s = 0.0

    def __call__(self, done: int) -> None:
        self.count += done
        self.ended_s = time.perf_counter()
        if not self.first:
            self.first, self.started_s = self.count, self.ended_s

    @property
    def rate(self) -> float:
        return (self.count - self.first) / (self.ended_s - self.started_s)


def events(count: int) -> Iterator[Sent]:
    for n in range(count):
        value = {"x0": 4.5 + n % 30 / 10, "x1": 3.0, "x2": 1.0 + n % 50 / 10, "x3": 0.2 + n % 20 / 10, "who": f"c{n}"}
        headers = {"traceparent": f"00-{n:032x}-00f067aa0ba902b7-01"}
        yield Sent(f"k{n % 400}", json.dumps(value).encode(), headers)


def redis(source: str, sink: str, count: int, done: Done) -> None:
    import redis

    url, _, name = source.rpartition("/")
    out = sink.rpartition("/")[2]
    client = redis.Redis.from_url(f"{url}/0", protocol=2)
    client.xgroup_create(name, "bare", id="0")
    while count:
        entries: Any = client.xreadgroup("bare", "one", {name: ">"}, count=BATCH, block=500)
        for _, messages in entries:
            with client.pipeline(transaction=False) as pipeline:
                for _, fields in messages:
                    pipeline.xadd(out, fields)
                pipeline.execute()
            client.xack(name, "bare", *[made_id for made_id, _ in messages])
            count -= len(messages)
            done(len(messages))


def kafka(source: str, sink: str, count: int, done: Done) -> None:
    from confluent_kafka import Consumer, Producer

    servers, _, name = source.removeprefix("kafka://").partition("?")[0].rpartition("/")
    out = sink.rpartition("/")[2]
    settings: dict[str, Any] = {"bootstrap.servers": servers}
    group = {"group.id": "bare", "enable.auto.commit": False, "auto.offset.reset": "earliest"}
    consumer = Consumer(settings | group)
    sending = {"enable.idempotence": True, "linger.ms": 0, "partitioner": "murmur2_random", "delivery.report.only.error": True}
    producer = Producer(settings | sending)
    consumer.subscribe([name])
    while count:
        messages = consumer.consume(1, 0.5)
        messages += consumer.consume(BATCH - 1, 0) if messages else []
        for one in messages:
            producer.produce(out, one.value(), one.key(), headers=one.headers())
        producer.flush()
        if messages:
            consumer.commit(asynchronous=False)
            count -= len(messages)
            done(len(messages))
    consumer.close()


def nats(source: str, sink: str, count: int, done: Done) -> None:
    import nats
    import uvloop
    from nats.js import api

    url, _, name = source.rpartition("/")
    out = sink.rpartition("/")[2]

    async def run(left: int) -> None:
        client = await nats.connect(url)
        js = client.jetstream(publish_async_max_pending=2**16)
        await js.add_stream(name=out, subjects=[out])
        came: asyncio.Queue[Any] = asyncio.Queue()
        config = api.ConsumerConfig(ack_policy=api.AckPolicy.ALL, max_ack_pending=AHEAD)
        await js.subscribe(name, durable="bare", config=config, cb=came.put, manual_ack=True)
        while left:
            messages = [await came.get()]
            while len(messages) < BATCH and not came.empty():
                messages.append(came.get_nowait())
            await asyncio.gather(*[await js.publish_async(out, one.data, headers=one.headers) for one in messages])
            await messages[-1].ack_sync(10)
            left -= len(messages)
            done(len(messages))
        await client.close()

    uvloop.run(run(count))


def amqp(source: str, sink: str, count: int, done: Done) -> None:
    import aio_pika
    import uvloop

    url, _, name = source.rpartition("/")
    out = sink.rpartition("/")[2]

    async def run(left: int) -> None:
        async with await aio_pika.connect(url) as connection:
            reading, sending = await connection.channel(), await connection.channel(on_return_raises=True)
            await reading.set_qos(prefetch_count=AHEAD)
            await sending.declare_queue(out, durable=True)
            came: asyncio.Queue[Any] = asyncio.Queue()
            queue = await reading.get_queue(name)
            await queue.consume(came.put, exclusive=True)
            exchange = sending.default_exchange
            while left:
                messages = [await came.get()]
                while len(messages) < BATCH and not came.empty():
                    messages.append(came.get_nowait())
                await asyncio.gather(*[exchange.publish(_same(one), out) for one in messages])
                await messages[-1].ack(multiple=True)
                left -= len(messages)
                done(len(messages))

    def _same(one: Any) -> aio_pika.Message:
        return aio_pika.Message(
            one.body, headers=one.headers, message_id=one.message_id, delivery_mode=aio_pika.DeliveryMode.PERSISTENT
        )

    uvloop.run(run(count))


BARE = {"redis": redis, "kafka": kafka, "nats": nats, "amqp": amqp}


def ours(source: str, sink: str, count: int, done: Done, store: str) -> None:
    import salver
    from salver.stream.counts import Counts

    class Told(Counts):
        """Tells of each batch."""

        def __setattr__(self, name: str, value: Any) -> None:
            if name == "scored" and value:
                done(value - self.scored)
                if value == count:
                    stop.set()
            super().__setattr__(name, value)

    stop = threading.Event()
    salver.stream("iris", source, sink, store=store, batch=BATCH, stop=stop, counts=Told(), started=gc.freeze)


def one(kind: str, source: str, sink: str, store: str) -> None:
    clock = Clock()
    if store:
        ours(source, sink, MESSAGES[kind], clock, store)
    else:
        gc.freeze()  # as the command does
        BARE[kind](source, sink, MESSAGES[kind], clock)
    print(clock.rate)


def rate(kind: str, server: Broker, topic: str, store: str) -> float:
    """Messages/s of one run over a topic of its own, in a process of its own."""
    server.fill(topic, events(MESSAGES[kind]))
    command = [sys.executable, "-m", "benchmarks.stream", "--one", kind, "--source", server.source(topic)]
    done = subprocess.run([*command, "--sink", server.sink(f"{topic}-out"), "--store", store], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return float(done.stdout.splitlines()[-1])


def measured(kind: str, rounds: int, store: str) -> str:
    """A line of the table: medians, and the median of the ratios."""
    pairs: list[tuple[float, float]] = []
    with broker(kind) as server:
        for number in range(rounds):
            pairs.append((rate(kind, server, f"ours{number}", store), rate(kind, server, f"bare{number}", "")))
            print(kind, *[f"{value:,.0f}" for value in pairs[-1]], f"{pairs[-1][0] / pairs[-1][1]:.2f}", flush=True)
    mine, theirs = (median(values) for values in zip(*pairs, strict=True))
    ratios = [a / b for a, b in pairs]
    spread = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return f"| {NAMES[kind]} | {MESSAGES[kind]:,} | {mine:,.0f} | {theirs:,.0f} | {spread} |"


def store_with_iris(folder: Path) -> str:
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    import salver

    X, y = load_iris(return_X_y=True)
    salver.save(LogisticRegression(max_iter=1000).fit(X, y), "iris", sample=X, store=folder)
    return str(folder)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=ROUNDS)
    options.add_argument("--broker", choices=KINDS, action="append")
    options.add_argument("--write", action="store_true")
    for name in ("--one", "--source", "--sink", "--store"):
        options.add_argument(name, default="")
    given = options.parse_args()
    if given.one:
        one(given.one, given.source, given.sink, given.store)
        return
    with tempfile.TemporaryDirectory(prefix="salver-stream-") as folder:
        store = store_with_iris(Path(folder))
        lines = ["| broker, client | messages | Salver, messages/s | bare loop, messages/s | ratio |", "|---|--:|--:|--:|--:|"]
        lines += [measured(kind, given.rounds, store) for kind in given.broker or KINDS]
    print("\n".join(lines))
    if given.write:
        fill(PAGE, "stream", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
