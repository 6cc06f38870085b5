"""What only NATS's source has to mind."""

from __future__ import annotations

import asyncio

import nats

from salver.stream.places import open_source, place
from tests.stream.brokers import broker, wait_for


def test_what_was_given_and_is_no_longer_there_is_not_waited_for() -> None:
    """A stream keeps its newest hundred: of those that a process was given and had not done, some are gone when it is."""

    async def make(url: str) -> None:
        client = await nats.connect(url)
        await client.jetstream().add_stream(name="short", subjects=["short"], max_msgs=100)
        await client.close()

    async def send(url: str, count: int) -> None:
        client = await nats.connect(url)
        for _ in range(count):
            await client.jetstream().publish("short", b"{}")
        await client.close()

    with broker("nats") as server:
        at = place(server.source("short"))
        url = at.server.geturl()
        asyncio.run(make(url))
        asyncio.run(send(url, 100))
        first = open_source(at)
        assert len(first.take(100, 10)) == 100
        first.close()
        asyncio.run(send(url, 60))
        second, found = open_source(at), list[int | str]()
        wait_for(lambda: found.extend(message.number for message in second.take(100, 0.1)) or len(found) == 100, 20)
        second.close()
        assert found == list(range(61, 161))
