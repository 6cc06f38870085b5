"""A Redis whose writes are on the disk before they are acknowledged."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import redis

from tests.programs import program
from tests.serving import free_port
from tests.stream.brokers import PARTITIONS, Sent, partition_of, wait_for


class Server:
    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        self._url = f"redis://127.0.0.1:{self._port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._read: dict[str, Any] = {}

    def start(self) -> None:
        options = ["--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", ""]
        process = self._process = subprocess.Popen(
            [program("redis-server", package="redis-server"), *options, "--appendonly", "yes", "--appendfsync", "always"],
            stdout=subprocess.DEVNULL,
        )

        def answers() -> bool:
            assert process.poll() is None
            try:
                return bool(client.ping())
            except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
                return False

        with self._client() as client:
            wait_for(answers)

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    end = kill

    def source(self, topic: str, divided: bool = False) -> str:
        return f"{self._url}/{topic}" + (f"?partitions={PARTITIONS}" if divided else "")

    def sink(self, topic: str) -> str:
        return f"{self._url}/{topic}"

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
