"""NATS JetStream. A subject is read by one process of a group at a time, so the messages of a key stay in their order.

A group is a durable push consumer, which the server gives to one connection only: when that is gone, the next process that asks
gets it, and first what was given and is not done. `?partitions=4` reads `SUBJECT.0` to `SUBJECT.3`, so that several processes
share the work; who writes puts a key always in the same one. The key of a message is its header `key`.
"""

from __future__ import annotations

import asyncio
import math
import re
import secrets
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any, TypeVar

import nats
from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import api
from nats.js import errors as refusals
from nats.js.client import JetStreamContext

from salver.errors import ConfigError, Unreachable
from salver.stream.contract import Headers, Message, Outgoing, legible, octets
from salver.stream.gathering import Gathering
from salver.stream.peer import Peer
from salver.stream.places import Place

_TIMEOUT_S = 10.0
_ONCE: dict[str, Any] = {  # a connection that breaks is not mended, but another made: partitions are joined anew with it
    "allow_reconnect": False,
    "max_reconnect_attempts": 1,
    "reconnect_time_wait": 0,
    "connect_timeout": 5,
    "ping_interval": 10,
}
_LOOK_S = 1.0  # how often partitions are shared anew
_HEAR_S = 0.05  # how often it is asked whether all that was given before has come
_MEMBER_S = 3.0  # a process that was not heard of for so long is none
_AHEAD = 2048  # messages of a partition that the server sends ahead of what is done
_REDELIVER_S = 3600.0  # to a connection that lives: a sink may be gone for long, and nothing is lost on the way
_BOUND = (10013, 10148)  # the server's codes for a consumer that has a connection
_ORDERS = "Nats-"  # headers that begin so tell a server what to do with a message: they are for the one that had it
_Answer = TypeVar("_Answer")


class _Link:
    """A connection, until it breaks; and what came by it."""

    def __init__(self, client: Client, broken: asyncio.Event) -> None:
        self.client = client
        self._broken = broken
        self.js: JetStreamContext = client.jetstream(timeout=_TIMEOUT_S, publish_async_max_pending=2**16)
        self.came: deque[tuple[str, Msg]] = deque()
        self.arrived = asyncio.Event()
        self.held: dict[str, list[Msg]] = {}  # by subject: what came since we joined, until its order is known
        self.streams: dict[str, str] = {}  # by subject
        self.mine: dict[str, Any] = {}  # subject → subscription
        self.under_way: dict[str, int] = {}  # subject → the sequence number of what was taken last and is not done
        self.members: dict[str, float] = {}  # the others of the group, and when they were heard of last

    async def answered(self, waiting: Coroutine[Any, Any, _Answer]) -> _Answer:
        """What is waited for, unless the connection breaks before: the client does not tell those who wait for an answer."""
        asked, broken = asyncio.ensure_future(waiting), asyncio.ensure_future(self._broken.wait())
        await asyncio.wait((asked, broken), return_when=asyncio.FIRST_COMPLETED)
        broken.cancel()
        if not asked.done():
            asked.cancel()
            await asyncio.wait((asked,))  # it may be answered in this very moment, and then has what nobody else will get
            if asked.cancelled():
                raise errors.ConnectionClosedError
        return await asked

    async def stream(self, subject: str) -> str:
        """The stream that keeps a subject; where there is none, one is made for it."""
        if subject not in self.streams:
            try:
                self.streams[subject] = await self.js.find_stream_name_by_subject(subject)
            except refusals.NotFoundError:
                name = re.sub(r"[^A-Za-z0-9_-]", "_", subject)
                await self.js.add_stream(name=name, subjects=[subject])
                self.streams[subject] = name
        return self.streams[subject]


class _Peer(Peer):
    """A connection to NATS."""

    def __init__(self, at: Place) -> None:
        self._link: _Link | None = None
        super().__init__(at.name, at.server._replace(path="", query="").geturl(), f"salver-nats-{at.topic}")

    async def _linked(self) -> _Link:
        if self._link is None or not self._link.client.is_connected:
            await self._end()
            broken = asyncio.Event()

            async def closed() -> None:
                broken.set()

            self._link = _Link(await nats.connect(self._url, error_cb=_told, closed_cb=closed, **_ONCE), broken)
        return self._link

    async def _end(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.client.close()

    async def _unless_broken(self, question: Coroutine[Any, Any, _Answer]) -> _Answer:
        link = self._link
        if link is None or not link.client.is_connected:
            return await question
        return await link.answered(question)

    def _ask(self, question: Coroutine[Any, Any, _Answer]) -> _Answer:
        try:
            return self._loop.run(self._unless_broken(question))
        except (errors.AuthorizationError, errors.InvalidUserCredentialsError) as error:
            raise ConfigError("NATS does not let us in: user, password or token is wrong") from error
        except refusals.ServiceUnavailableError as error:
            raise Unreachable("JetStream does not answer now, or is not enabled") from error
        except errors.MaxPayloadError as error:
            raise ConfigError("a message is larger than this NATS takes; raise its max_payload") from error
        except (refusals.ServerError, errors.Error, OSError, TimeoutError) as error:
            if isinstance(error, refusals.BadRequestError):
                raise ConfigError(f"NATS refuses: {str(error.description)[:200]}") from error
            raise Unreachable(f"NATS can't be reached: {type(error).__name__}") from error


class NatsSource(_Peer):
    """The messages of a subject, or of its partitions, for a group."""

    ended = False
    leaving = None

    def __init__(self, at: Place) -> None:
        self._subjects = at.partitions
        self._group = at.group
        self._me = secrets.token_hex(8)
        self._presence = f"salver.members.{at.topic}.{at.group}"
        self._looked_s = 0.0
        super().__init__(at)

    def take(self, most: int, wait_s: float) -> list[Message]:
        return self._ask(self._take(most, wait_s))

    def done(self, messages: Sequence[Message]) -> None:
        self._ask(self._done({message.token[1]: message.token for message in messages}))

    def lag(self) -> int | None:
        return self._ask(self._lag())

    async def _linked(self) -> _Link:
        before = self._link
        link = await super()._linked()
        if link is not before:
            self._looked_s = 0.0

            async def heard(message: Msg) -> None:
                link.members[message.data.decode()] = time.monotonic()

            await link.client.subscribe(self._presence, cb=heard)
        return link

    async def _take(self, most: int, wait_s: float) -> list[Message]:
        link = await self._linked()
        if time.monotonic() >= self._looked_s:
            await self._share(link)
        until_s = time.monotonic() + wait_s
        while not link.came:
            link.arrived.clear()
            for subject in [*link.held]:
                await self._hear(link, subject)
            left_s = until_s - time.monotonic()
            if link.came or left_s <= 0:
                break
            with suppress(TimeoutError):
                await asyncio.wait_for(link.arrived.wait(), min(left_s, _HEAR_S) if link.held else left_s)
        taken = [link.came.popleft() for _ in range(min(most, len(link.came)))]
        messages = [_message(link, subject, message) for subject, message in taken]
        link.under_way.update((message.token[1], message.token[2]) for message in messages)
        return messages

    async def _done(self, last: dict[str, tuple[_Link, str, int, Msg]]) -> None:
        """One acknowledgement a partition says it of all before. What came by a connection that broke comes again."""
        here = [token for token in last.values() if token[0] is self._link and token[0].client.is_connected]
        await asyncio.gather(*(message.ack_sync(_TIMEOUT_S) for _, _, _, message in here if not message.is_acked))
        for link, subject, number, _ in here:
            if link.under_way.get(subject) == number:
                del link.under_way[subject]

    async def _lag(self) -> int:
        link = await self._linked()
        return sum([await self._left(link, subject) for subject in self._subjects])

    async def _left(self, link: _Link, subject: str) -> int:
        stream = await link.stream(subject)
        try:
            told = await link.js.consumer_info(stream, self._durable(subject))
        except refusals.NotFoundError:
            state = (await link.js.stream_info(stream, subjects_filter=subject)).state
            return int((state.subjects or {}).get(subject, 0))
        return int(told.num_pending or 0) + int(told.num_ack_pending or 0)

    async def _share(self, link: _Link) -> None:
        """Say that we are here, take partitions that nobody has up to our share, and leave what is more than that."""
        now_s = time.monotonic()
        self._looked_s = now_s + _LOOK_S
        link.members[self._me] = now_s
        await link.client.publish(self._presence, self._me.encode())
        link.members = {member: heard_s for member, heard_s in link.members.items() if heard_s > now_s - _MEMBER_S}
        share = math.ceil(len(self._subjects) / len(link.members))
        for subject in [*link.mine][share:]:
            if subject not in link.under_way:
                await self._leave(link, subject)
        for subject in self._subjects:
            if len(link.mine) < share and subject not in link.mine:
                await self._join(link, subject)

    async def _join(self, link: _Link, subject: str) -> None:
        """Become the connection of a partition's consumer, if it has none."""

        async def came(message: Msg) -> None:
            if subject in link.held:
                link.held[subject].append(message)
            else:
                link.came.append((subject, message))
                link.arrived.set()

        stream, inbox = await link.stream(subject), link.client.new_inbox()
        subscription = await link.client.subscribe(inbox, cb=came)
        link.held[subject] = []
        try:
            await link.js.add_consumer(
                stream,
                durable_name=self._durable(subject),
                deliver_subject=inbox,
                filter_subject=subject,
                ack_policy=api.AckPolicy.ALL,
                ack_wait=_REDELIVER_S,
                max_ack_pending=_AHEAD,
            )
            link.mine[subject] = subscription
        except refusals.APIError as error:
            link.held.pop(subject)
            await subscription.unsubscribe()
            if error.err_code not in _BOUND:
                raise

    async def _hear(self, link: _Link, subject: str) -> None:
        """Let a partition's messages be taken, once all is there that was given before and is not done, in its order.

        Where a partition changes hands while the server still gives again what it gave before, it goes on where it was, and
        then begins at the beginning. When all has come that way, nothing is left to go on with: who joins next has its order.
        """
        told = await link.js.consumer_info(await link.stream(subject), self._durable(subject))
        given = 0 if told.delivered is None else told.delivered.stream_seq
        numbers = [_lies(message)[1] for message in link.held[subject]]
        if sum(number <= given for number in numbers) < (told.num_ack_pending or 0):
            return
        if any(one >= other for one, other in pairwise(numbers)):
            await self._leave(link, subject)
            self._looked_s = 0.0
        else:
            link.came.extend((subject, message) for message in link.held.pop(subject))

    async def _leave(self, link: _Link, subject: str) -> None:
        link.held.pop(subject, None)
        await link.mine.pop(subject).unsubscribe()
        link.came = deque(one for one in link.came if one[0] != subject)

    def _durable(self, subject: str) -> str:
        return re.sub(r"[^A-Za-z0-9_-]", "_", f"{self._group}-{subject}")


class NatsSink(Gathering, _Peer):
    """Publishes on a subject. A message that is sent again is known by its id, and kept once."""

    def __init__(self, at: Place) -> None:
        Gathering.__init__(self)
        self._subject = at.topic
        _Peer.__init__(self, at)

    def _send(self, messages: Sequence[Outgoing]) -> None:
        self._ask(self._publish(messages))

    async def _publish(self, messages: Sequence[Outgoing]) -> None:
        link = await self._linked()
        await link.stream(self._subject)
        acknowledged = [
            await link.js.publish_async(self._subject, message.value, headers=_headers(message)) for message in messages
        ]
        await asyncio.wait_for(asyncio.gather(*acknowledged), _TIMEOUT_S)


async def _told(_error: Exception) -> None:
    """What breaks a connection is told by the next call."""


def _headers(message: Outgoing) -> dict[str, str]:
    """Headers of NATS are lines of text."""
    lines = {name: _line(value) for name, value in message.headers if value is not None}
    if message.key is not None:
        lines["key"] = _line(message.key)
    lines["Nats-Msg-Id"] = message.id
    return lines


def _line(value: bytes) -> str:
    text = legible(value)
    return text if text.isprintable() else " ".join(text.splitlines())


def _lies(message: Msg) -> tuple[str, int]:
    """The stream that a message is in, and its number there."""
    # $JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE.…, or with domain, account and a last word around it
    parts = message.reply.split(".")
    stream, number = (parts[2], parts[5]) if len(parts) == 9 else (parts[4], parts[7])
    return stream, int(number)


def _message(link: _Link, subject: str, message: Msg) -> Message:
    stream, number = _lies(message)
    found = message.headers or {}
    key = found.get("key")
    headers: Headers = [
        (name, octets(value)) for name, value in found.items() if name != "key" and not name.startswith(_ORDERS)
    ]
    token = (link, subject, number, message)
    return Message(message.data, stream, number, None if key is None else octets(key), headers, token)


def source(at: Place) -> NatsSource:
    return NatsSource(at)


def sink(at: Place) -> NatsSink:
    return NatsSink(at)
