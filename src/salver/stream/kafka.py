"""Kafka, by librdkafka. The processes of a group share the partitions of a topic, as Kafka divides them.

Offsets are committed by us, each once its answer is acknowledged. The group takes the partitions of a process that died once
its session has timed out. Options with a dot in their name are librdkafka's own: `kafka://host/events?session.timeout.ms=6000`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from salver.errors import ConfigError, Unreachable
from salver.stream.contract import Message, Outgoing, octets, text
from salver.stream.places import Place

logger = logging.getLogger("salver")

_PATIENCE_S = 10.0
_CLOSE_S = 2.0

_DEFAULTS: dict[str, Any] = {"session.timeout.ms": 10_000, "socket.timeout.ms": 10_000, "reconnect.backoff.max.ms": 1_000}
_SENDING: dict[str, Any] = {
    "enable.idempotence": True,  # in their order, and none twice, whatever librdkafka has to send again
    "partitioner": "murmur2_random",  # a key lies where Java's clients put it
    "delivery.report.only.error": True,
    "linger.ms": 0,
}

_REFUSED = frozenset(
    getattr(KafkaError, name)
    for name in (
        "_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED",
        "CLUSTER_AUTHORIZATION_FAILED", "TOPIC_EXCEPTION", "MSG_SIZE_TOO_LARGE", "_INVALID_ARG",
    )
)  # fmt: skip
"""What no second try makes better."""

_ELSEWHERE = frozenset(
    getattr(KafkaError, name)
    for name in (
        "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "REBALANCE_IN_PROGRESS", "FENCED_INSTANCE_ID", "_ASSIGNMENT_LOST", "_STATE",
    )
)  # fmt: skip
"""The group is being divided anew: whoever gets a partition reads on from what was committed."""


class KafkaSource:
    """The messages of a topic, for a group."""

    ended = False

    def __init__(self, settings: dict[str, Any], name: str, topic: str, group: str) -> None:
        self.name = name
        self._topic = topic
        self._failure: KafkaError | None = None
        self._done: dict[int, int] = {}  # partition → the next offset, as far as it is not committed
        self._consumer = Consumer(
            {
                **settings,
                "group.id": group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "error_cb": self._failed,
            },
            logger=logger,
        )
        # A broker answers a connection in turn, and one that fetches waits for messages: lag is asked for by another.
        self._lookout = Consumer({**settings, "group.id": group, "error_cb": self._failed}, logger=logger)
        self._consumer.subscribe([topic], on_revoke=self._leave, on_lost=self._lose)

    def take(self, most: int, wait_s: float) -> list[Message]:
        if self._done:
            self._commit()
        found = self._consumer.consume(1, wait_s)
        if found and most > 1:
            found += self._consumer.consume(most - 1, 0)
        taken: list[Message] = []
        for one in found:
            if (error := one.error()) is not None:
                self._failure = error
            else:
                taken.append(_message(one))
        if taken:
            self._failure = None
        elif self._failure is not None:
            failure, self._failure = self._failure, None
            raise _told(failure)
        return taken

    def done(self, messages: Sequence[Message]) -> None:
        for message in messages:
            partition, offset = message.token
            self._done[partition] = offset + 1
        self._commit()

    def lag(self) -> int | None:
        try:
            topics = self._lookout.list_topics(self._topic, _PATIENCE_S).topics
            partitions = [TopicPartition(self._topic, number) for number in topics[self._topic].partitions]
            if not partitions:
                return 0
            committed = {one.partition: one.offset for one in self._lookout.committed(partitions, _PATIENCE_S)}
            ends, starts = self._at(partitions, OFFSET_END), {}
            if any(offset < 0 for offset in committed.values()):
                starts = self._at(partitions, OFFSET_BEGINNING)
        except KafkaException as error:
            raise _told(error.args[0]) from error
        return sum(
            max(0, end - (committed[number] if committed[number] >= 0 else starts[number])) for number, end in ends.items()
        )

    def close(self) -> None:
        self._consumer.close()
        self._lookout.close()

    def _at(self, partitions: list[TopicPartition], end: int) -> dict[int, int]:
        """The offset at an end of each partition."""
        asked = [TopicPartition(one.topic, one.partition, end) for one in partitions]
        return {one.partition: one.offset for one in self._lookout.offsets_for_times(asked, _PATIENCE_S)}

    def _commit(self) -> None:
        offsets = [TopicPartition(self._topic, partition, offset) for partition, offset in self._done.items()]
        try:
            told = self._consumer.commit(offsets=offsets, asynchronous=False) or []
            wrong = next((one.error for one in told if one.error is not None), None)
        except KafkaException as error:
            wrong = error.args[0]
        if wrong is None:
            self._done.clear()
        elif wrong.code() not in _ELSEWHERE:
            raise _told(wrong)

    def _leave(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Partitions go to another process: what is done of them is committed first."""
        if self._done:
            with suppress(Unreachable, ConfigError):  # then it comes again there
                self._commit()
        self._lose(consumer, partitions)

    def _lose(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for one in partitions:
            self._done.pop(one.partition, None)

    def _failed(self, error: KafkaError) -> None:
        """librdkafka goes on by itself; when nothing comes meanwhile, this is why."""
        if error.code() in (KafkaError._ALL_BROKERS_DOWN, *_REFUSED) or error.fatal():
            self._failure = error


class KafkaSink:
    """Adds messages to a topic."""

    def __init__(self, settings: dict[str, Any], name: str, topic: str) -> None:
        self.name = name
        self._topic = topic
        self._failure: KafkaError | None = None
        self._under_way: Sequence[Outgoing] | None = None
        self._producer = Producer(
            {**_SENDING, **settings, "on_delivery": self._delivered, "error_cb": self._failed}, logger=logger
        )

    def put(self, messages: Sequence[Outgoing]) -> None:
        if messages is not self._under_way:  # else the call is made again, and goes on waiting for what is on its way
            self._failure = None
            for message in messages:
                self._produce(message)
            self._under_way = messages
        if self._producer.flush(_PATIENCE_S):
            raise _told(self._failure) if self._failure else Unreachable("Kafka does not acknowledge")
        self._under_way = None
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise _told(failure)

    def close(self) -> None:
        self._producer.flush(0)
        self._producer.purge(blocking=False)
        self._producer.flush(_CLOSE_S)

    def _produce(self, message: Outgoing) -> None:
        key = None if message.key is None else octets(message.key)
        headers: Any = [(name, octets(value)) for name, value in message.headers.items()]
        while True:
            try:
                self._producer.produce(self._topic, message.value, key, headers=headers)
                return
            except BufferError:  # its memory is full: wait until some are acknowledged, or given up
                self._producer.poll(0.1)
            except KafkaException as error:
                raise _told(error.args[0]) from error

    def _delivered(self, error: KafkaError | None, _message: Any) -> None:
        if error is not None:
            self._failure = error

    def _failed(self, error: KafkaError) -> None:
        if error.code() in _REFUSED or error.fatal():
            self._failure = error


def _message(one: Any) -> Message:
    key, headers = one.key(), one.headers()
    partition, offset = one.partition(), one.offset()
    return Message(
        one.value() or b"",
        f"{partition}/{offset}",
        None if key is None else text(key),
        {name: text(value or b"") for name, value in headers} if headers else {},
        (partition, offset),
    )


def _told(error: KafkaError) -> ConfigError | Unreachable:
    if error.code() in _REFUSED:
        return ConfigError(f"Kafka refuses: {error.str()[:200]}")
    return Unreachable(f"Kafka can't be reached: {error.name()}")


def _settings(at: Place) -> dict[str, Any]:
    """What the URL says: servers, user and password, and librdkafka's own settings."""
    user, _, servers = at.server.netloc.rpartition("@")
    settings: dict[str, Any] = {**_DEFAULTS, "bootstrap.servers": servers}
    if user:
        name, _, password = user.partition(":")
        settings |= {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"}
        settings |= {"sasl.username": unquote(name), "sasl.password": unquote(password)}
    return settings | {name: value for name, value in at.options.items() if "." in name}


def source(at: Place) -> KafkaSource:
    try:
        return KafkaSource(_settings(at), at.name, at.topic, at.group)
    except (KafkaException, ValueError) as error:
        raise ConfigError(f"{at.name}: {error}") from error


def sink(at: Place) -> KafkaSink:
    settings = _settings(at)
    settings.pop("session.timeout.ms")  # a consumer's
    try:
        return KafkaSink(settings, at.name, at.topic)
    except (KafkaException, ValueError) as error:
        raise ConfigError(f"{at.name}: {error}") from error
