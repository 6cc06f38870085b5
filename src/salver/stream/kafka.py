"""Kafka, by librdkafka. The processes of a group share the partitions of a topic, as Kafka divides them.

Offsets are committed by us, each once its answer is acknowledged. The group takes the partitions of a process that died once
its session has timed out. Options with a dot in their name are librdkafka's own: `kafka://host/events?session.timeout.ms=6000`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from salver.errors import ConfigError, Unreachable
from salver.stream.contract import Message, Outgoing
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


class _Places(dict[int, str]):
    """The names of partitions; one is made once, not with each message."""

    def __missing__(self, partition: int) -> str:
        self[partition] = made = str(partition)
        return made


class KafkaSource:
    """The messages of a topic, for a group."""

    ended = False

    def __init__(self, settings: dict[str, Any], name: str, topic: str, group: str) -> None:
        self.name = name
        self.leaving: Callable[[], None] | None = None
        self._topic = topic
        self._takes = 0
        self._lost: dict[int, int] = {}  # partition → the number of the call before which it was another's
        self._failure: KafkaError | None = None
        self._places = _Places()
        self._done: dict[int, int] = {}  # partition → the next offset, as far as it is not committed
        self._answer_by_s = 0.0  # when a commit that is under way is given up
        self._uncommitted: KafkaError | None = None  # what was wrong with the last one
        self._consumer = Consumer(
            {
                **settings,
                "group.id": group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "error_cb": self._failed,
                "on_commit": self._committed,
            },
            logger=logger,
        )
        # A broker answers a connection in turn, and one that fetches waits for messages: lag is asked for by another.
        self._lookout = Consumer({**settings, "group.id": group, "error_cb": self._failed}, logger=logger)
        self._consumer.subscribe([topic], on_revoke=self._leave, on_lost=self._lose)

    def take(self, most: int, wait_s: float) -> list[Message]:
        self._commit()
        self._takes += 1
        found: list[Any] = self._consumer.consume(1, wait_s)  # what a message has when it has no error is not in its types
        if found and most > 1:
            found += self._consumer.consume(most - 1, 0)
        taken, places, number = list[Message](), self._places, self._takes
        for one in found:
            if (error := one.error()) is not None:
                self._failure = error
            else:
                taken.append(
                    Message(one.value() or b"", places[one.partition()], one.offset(), one.key(), one.headers() or [], number)
                )
        if taken:
            self._failure = None
        elif self._failure is not None:
            failure, self._failure = self._failure, None
            raise _told(failure)
        return taken

    def done(self, messages: Sequence[Message]) -> None:
        for last in {message.place: message for message in messages}.values():
            if last.token >= self._lost.get(int(last.place), 0):  # else it is another's by now
                self._done[int(last.place)] = int(last.number) + 1
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
        until_s = time.monotonic() + _CLOSE_S
        while self._done and time.monotonic() < until_s:  # what is not committed then comes again
            with suppress(Unreachable, ConfigError):
                self._commit()
            self._consumer.poll(0.05)
        self._consumer.close()
        self._lookout.close()

    def _at(self, partitions: list[TopicPartition], end: int) -> dict[int, int]:
        """The offset at an end of each partition."""
        asked = [TopicPartition(one.topic, one.partition, end) for one in partitions]
        return {one.partition: one.offset for one in self._lookout.offsets_for_times(asked, _PATIENCE_S)}

    def _commit(self) -> None:
        """Have what is done committed, one request at a time. It is not waited for: a later one says it of all before.

        Raises what became of an earlier one; the next call tries again.
        """
        wrong, self._uncommitted = self._uncommitted, None
        if wrong is not None and wrong.code() not in _ELSEWHERE:
            raise _told(wrong)
        if self._done and time.monotonic() >= self._answer_by_s:
            self._answer_by_s = time.monotonic() + _PATIENCE_S
            self._commit_all()

    def _commit_all(self) -> None:
        offsets = [TopicPartition(self._topic, partition, offset) for partition, offset in self._done.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            self._committed(error.args[0], [])

    def _committed(self, error: KafkaError | None, offsets: list[TopicPartition]) -> None:
        """Told by librdkafka, while it is asked for messages."""
        self._answer_by_s = 0.0
        self._uncommitted = error or next((one.error for one in offsets if one.error is not None), None)
        for one in offsets:
            if self._uncommitted is None and self._done.get(one.partition) == one.offset:
                del self._done[one.partition]

    def _leave(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Partitions go to another process. What is done of them is committed first: librdkafka lets go of them after that."""
        if self.leaving is not None:
            self.leaving()
        if self._done:
            self._commit_all()
        self._lose(consumer, partitions)

    def _lose(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for one in partitions:
            self._lost[one.partition] = self._takes
            self._done.pop(one.partition, None)

    def _failed(self, error: KafkaError) -> None:
        """librdkafka goes on by itself; when nothing comes meanwhile, this is why."""
        if error.code() in (KafkaError._ALL_BROKERS_DOWN, *_REFUSED) or error.fatal():
            self._failure = error


class KafkaSink:
    """Adds messages to a topic."""

    ahead = True

    def __init__(self, settings: dict[str, Any], name: str, topic: str) -> None:
        self.name = name
        self._topic = topic
        self._failure: KafkaError | None = None
        self._given: list[Outgoing] = []  # and not acknowledged; the first `_produced` are librdkafka's
        self._produced = 0
        self._producer = Producer(
            {**_SENDING, **settings, "on_delivery": self._delivered, "error_cb": self._failed}, logger=logger
        )

    def put(self, messages: Sequence[Outgoing]) -> None:
        """librdkafka sends these while the next are scored."""
        self._given += messages
        self._produce()

    def flush(self) -> None:
        while self._produced < len(self._given):  # its memory was full: wait until some are acknowledged, or given up
            self._producer.poll(0.1)
            self._produce()
        if self._producer.flush(_PATIENCE_S):
            raise _told(self._failure) if self._failure else Unreachable("Kafka does not acknowledge")
        failure, self._failure = self._failure, None
        if failure is not None:
            self._produced = 0  # all again
            raise _told(failure)
        self._given, self._produced = [], 0

    def close(self) -> None:
        self._producer.flush(0)
        self._producer.purge(blocking=False)
        self._producer.flush(_CLOSE_S)

    def _produce(self) -> None:
        """Hand over what was given, as far as there is room."""
        produce: Any = self._producer.produce
        topic = self._topic
        for message in self._given[self._produced :]:
            try:
                produce(topic, message.value, message.key, headers=message.headers)
            except BufferError:
                return
            except KafkaException as error:
                self._failure = error.args[0]
            self._produced += 1

    def _delivered(self, error: KafkaError | None, _message: Any) -> None:
        if error is not None:
            self._failure = error

    def _failed(self, error: KafkaError) -> None:
        if error.code() in _REFUSED or error.fatal():
            self._failure = error


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
