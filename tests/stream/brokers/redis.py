"""A Redis whose writes are on the disk before they are acknowledged."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import redis

from tests.programs import program
from tests.stream.brokers import Sent, partition_of
from tests.stream.brokers.program import Program


class Server(Program):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "redis")
        self._read: dict[str, Any] = {}

    def start(self) -> None:
        options = ["--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", ""]
        options += ["--appendonly", "yes", "--appendfsync", "always"]

        def answers() -> bool:
            try:
                return bool(client.ping())
            except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
                return False

        with self._client() as client:
            self._run([program("redis-server", package="redis-server"), *options], answers)

    def fill(self, topic: str, messages: Iterable[Sent], divided: bool = False) -> None:
        with self._client() as client, client.pipeline(transaction=False) as pipeline:
            for number, message in enumerate(messages, 1):
                name = f"{topic}:{partition_of(message)}" if divided else topic
                pipeline.xadd(name, {"value": message.value, "key": message.key, **message.headers})
                if number % 1000 == 0:
                    pipeline.execute()
            pipeline.execute()

    def read(self, topic: str) -> list[Sent]:
        with self._client() as client:
            found: Any = client.xrange(topic, f"({self._read[topic]}" if topic in self._read else "-")
        made: list[Sent] = []
        for at, fields in found:
            self._read[topic] = at.decode()
            named = {name.decode(): value for name, value in fields.items()}
            value, key = named.pop("value"), named.pop("key", b"").decode()
            made.append(Sent(key, value, {name: text.decode() for name, text in named.items()}))
        return made

    def _client(self) -> redis.Redis:
        return redis.Redis(port=self._port, protocol=2)
