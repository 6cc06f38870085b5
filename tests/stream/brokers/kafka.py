"""Kafka: the broker that SALVER_TEST_KAFKA names (HOST:PORT), else librdkafka's mock cluster in a process of its own.

No package registry holds a Kafka broker. The mock speaks the protocol (produce, fetch, groups), keeps everything in memory, and
has no transactions. It is not restarted but goes down: it closes all connections and takes none until it is up again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.stream.brokers import PARTITIONS, Sent

MOCK_PARTITIONS = 64  # the mock keeps 5 MB of each
REAL = os.environ.get("SALVER_TEST_KAFKA", "")
_OPTIONS = "session.timeout.ms=6000" if REAL else "session.timeout.ms=2000&heartbeat.interval.ms=200"


class Server:
    def __init__(self, folder: Path) -> None:
        self._servers = REAL
        self._process: subprocess.Popen[str] | None = None
        self._read: dict[str, dict[int, int]] = {}
        self._suffix = f"-{os.getpid()}" if REAL else ""  # a broker that stays has the topics of earlier runs

    def start(self) -> None:
        if REAL:
            return
        if self._process is None:
            command = [sys.executable, "-m", "tests.stream.brokers.mock_kafka"]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self._servers = self._hear()
        else:
            self._tell("up")

    def kill(self) -> None:
        """Down; its process ends with the test's."""
        if self._process is not None:
            self._tell("down")

    def end(self) -> None:
        if self._process is not None:
            assert self._process.stdin and self._process.stdout
            self._process.stdin.close()
            self._process.stdout.close()
            self._process.wait(30)

    def source(self, topic: str, divided: bool = False) -> str:
        return f"kafka://{self._servers}/{topic}{self._suffix}?{_OPTIONS}"

    def sink(self, topic: str) -> str:
        self._make(topic)
        return f"kafka://{self._servers}/{topic}{self._suffix}"

    def fill(self, topic: str, messages: Iterable[Sent], divided: bool = False) -> None:
        self._make(topic)
        producer = Producer({"bootstrap.servers": self._servers, "enable.idempotence": True})
        for number, one in enumerate(messages):
            headers: Any = [(name, value.encode()) for name, value in one.headers.items()]
            producer.produce(topic + self._suffix, one.value, one.key, headers=headers)
            if number % 10_000 == 0:
                producer.flush()
        assert producer.flush(60) == 0

    def read(self, topic: str) -> list[Sent]:
        name = topic + self._suffix
        at = self._read.setdefault(topic, {})
        consumer = Consumer({"bootstrap.servers": self._servers, "group.id": "test", "enable.auto.commit": False})
        made: list[Sent] = []
        try:
            ends: dict[int, int] = {}
            for number in consumer.list_topics(name, 10).topics[name].partitions:
                ends[number] = consumer.get_watermark_offsets(TopicPartition(name, number), 10)[1]
            left = sum(end - at.get(number, 0) for number, end in ends.items())
            consumer.assign([TopicPartition(name, number, at.get(number, OFFSET_BEGINNING)) for number in ends])
            while left > 0:
                for one in consumer.consume(min(left, 10_000), 1.0):
                    if one.error() is None:
                        headers = {name: (value or b"").decode() for name, value in one.headers() or []}
                        made.append(Sent((one.key() or b"").decode(), one.value() or b"", headers))
                        at[one.partition()] = one.offset() + 1
                        left -= 1
        finally:
            consumer.close()
        return made

    def _make(self, topic: str) -> None:
        if self._process is not None:
            self._tell(f"topic {topic} {MOCK_PARTITIONS}")
        else:
            for made in AdminClient({"bootstrap.servers": self._servers}).create_topics(
                [NewTopic(topic + self._suffix, num_partitions=PARTITIONS)]
            ).values():  # fmt: skip
                made.exception(30)

    def _tell(self, what: str) -> None:
        assert self._process and self._process.stdin
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        assert self._hear() == "done"

    def _hear(self) -> str:
        assert self._process and self._process.stdout
        return self._process.stdout.readline().strip()
