"""What only RabbitMQ's source has to mind."""

from __future__ import annotations

import asyncio
import time

import aio_pika
import pytest

from salver.stream.contract import Source
from salver.stream.places import open_source, place
from tests.stream.brokers import broker
from tests.stream.test_brokers import KEYS, events


def test_what_comes_while_a_queue_is_left_is_for_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same keys come before the queue is left, and again while its channel closes slowly: the first time is first."""
    close = aio_pika.Channel.close
    with broker("amqp") as server:

        async def slowly(channel: aio_pika.Channel) -> None:
            monkeypatch.setattr(aio_pika.Channel, "close", close)
            await asyncio.to_thread(server.fill, "left", events(range(KEYS, 2 * KEYS)), divided=True)
            await asyncio.sleep(0.3)
            await close(channel)

        server.fill("left", events(range(KEYS)), divided=True)
        at = place(server.source("left", divided=True))
        first, seen = open_source(at), set[int]()

        def drain(source: Source, most: int) -> None:
            taken = source.take(most, 0.1)
            for number in (int(dict(message.headers)["number"] or b"") for message in taken):
                assert number < KEYS or number - KEYS in seen, f"{number} came first"
                seen.add(number)
            source.done(taken)
            if taken and most > 1:
                drain(source, most)

        drain(first, 1)
        second = open_source(at)
        try:
            monkeypatch.setattr(aio_pika.Channel, "close", slowly)
            time.sleep(1.1)  # the first one's next look sees the second one, and leaves it two queues
            deadline_s = time.monotonic() + 30
            while len(seen) < 2 * KEYS:
                assert time.monotonic() < deadline_s, f"{len(seen)} came"
                drain(first, 1000)
                drain(second, 1000)
        finally:
            first.close()
            second.close()
