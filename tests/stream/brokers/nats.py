"""A NATS server with JetStream, which keeps its streams in files."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nats
from nats.errors import Error
from nats.js import api
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from tests.programs import program
from tests.stream.brokers import PARTITIONS, Sent, partition_of
from tests.stream.brokers.program import Program

_AT_ONCE = 1000
_ONCE: Any = {"allow_reconnect": False, "max_reconnect_attempts": 1, "reconnect_time_wait": 0}


class Server(Program):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "nats")
        self._read: dict[str, int] = {}

    def start(self) -> None:
        config = self._folder / "nats.conf"
        config.write_text(f'jetstream {{ store_dir: "{self._folder}", max_file: 4GB }}\n')
        options = ["--addr", "127.0.0.1", "--port", str(self._port), "--config", str(config)]

        def answers() -> bool:
            try:
                self._ask(lambda js: js.account_info())
                return True
            except (OSError, Error):
                return False

        self._run([program("nats-server", package="nats-server"), *options], answers)

    def fill(self, topic: str, messages: Iterable[Sent], divided: bool = False) -> None:
        async def publish(js: JetStreamContext) -> None:
            subjects = [f"{topic}.{number}" for number in range(PARTITIONS)] if divided else [topic]
            await js.add_stream(name=topic.replace(".", "_"), subjects=subjects)
            waiting: list[Any] = []
            for message in messages:
                subject = f"{topic}.{partition_of(message)}" if divided else topic
                waiting.append(await js.publish_async(subject, message.value, headers={**message.headers, "key": message.key}))
                if len(waiting) == _AT_ONCE:
                    await asyncio.gather(*waiting)
                    waiting.clear()
            await asyncio.gather(*waiting)

        self._ask(publish)

    def read(self, topic: str) -> list[Sent]:
        async def fetch(js: JetStreamContext) -> list[Sent]:
            start = self._read.get(topic, 0) + 1
            try:
                stream = await js.find_stream_name_by_subject(topic)
            except NotFoundError:
                return []
            if (await js.stream_info(stream)).state.last_seq < start:
                return []
            config = api.ConsumerConfig(deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=start)
            config.ack_policy = api.AckPolicy.NONE  # else a slow reader is given all again after half a minute
            consumer = await js.pull_subscribe(topic, stream=stream, config=config)
            left, made = (await consumer.consumer_info()).num_pending or 0, list[Sent]()
            while len(made) < left:
                for one in await consumer.fetch(min(_AT_ONCE, left - len(made)), timeout=5):
                    headers = dict(one.headers or {})
                    made.append(Sent(headers.pop("key", ""), one.data, headers, headers.pop("Nats-Msg-Id", "")))
                    self._read[topic] = one.metadata.sequence.stream
            await consumer.unsubscribe()
            return made

        return self._ask(fetch)

    def _ask(self, question: Any) -> Any:
        async def ask() -> Any:
            client = await nats.connect(self._url, error_cb=_quiet, **_ONCE)
            try:
                return await question(client.jetstream(publish_async_max_pending=_AT_ONCE))
            finally:
                await client.close()

        return asyncio.run(ask())


async def _quiet(_error: Exception) -> None: ...
