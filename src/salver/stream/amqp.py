"""RabbitMQ. A queue is read by one process of a group at a time, so the messages of a key stay in their order.

Who reads is the queue's exclusive consumer, which the broker lets be one: when its connection is gone, the next process that
asks is it, and first comes what was given and is not done. `?partitions=4` reads `QUEUE.0` to `QUEUE.3`, so that several
processes share the work; who writes puts a key always in the same one. The key of a message is its header `key`.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from concurrent.futures import CancelledError
from typing import Any, TypeVar
from urllib.parse import quote

import aio_pika
from aio_pika import exceptions
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue

from salver.errors import ConfigError, Unreachable
from salver.stream.contract import Headers, Message, Outgoing, legible
from salver.stream.gathering import Gathering
from salver.stream.peer import Peer
from salver.stream.places import Place

_TIMEOUT_S = 10.0
_LIMIT_S = 30.0  # for all that one call asks: a connection that has not answered by then is given up
_LOOK_S = 1.0  # how often partitions are shared anew
_AHEAD = 2048  # messages of a partition that the broker sends ahead of what is done
_REFUSED = 403
_Answer = TypeVar("_Answer")


class _Link:
    """A connection, until it breaks; and what came by it."""

    def __init__(self, connection: AbstractConnection, channel: AbstractChannel) -> None:
        self.connection = connection
        self.channel = channel
        self.came: deque[tuple[str, AbstractIncomingMessage]] = deque()
        self.arrived = asyncio.Event()
        self.lookout: AbstractChannel | None = None
        self.known: set[str] = set()  # queues that are there
        self.mine: dict[str, AbstractChannel] = {}  # by queue
        self.under_way: dict[str, tuple[int, int]] = {}  # queue → how many are taken and not done, and the last one's tag

    @property
    def lives(self) -> bool:
        """Whether nothing of it is closed. RabbitMQ closes a channel whose messages are not done for half an hour."""
        return not (self.connection.is_closed or any(channel.is_closed for channel in (self.channel, *self.mine.values())))

    async def require(self, queue: str) -> None:
        """See that a queue is there, as it is; where there is none, a durable one is made."""
        if queue in self.known:
            return
        channel = await self.connection.channel()
        try:
            await channel.declare_queue(queue, passive=True, timeout=_TIMEOUT_S)
            await channel.close()
        except exceptions.ChannelNotFoundEntity:
            await self.channel.declare_queue(queue, durable=True, timeout=_TIMEOUT_S)
        self.known.add(queue)

    async def look(self, queue: str) -> tuple[int, int]:
        """How many messages and how many consumers a queue has.

        A channel is closed when it does not answer in time, so this has one of its own: nothing else is lost with it.
        """
        if self.lookout is None or self.lookout.is_closed:
            self.lookout = await self.connection.channel()
        told = (await self.lookout.declare_queue(queue, passive=True, timeout=_TIMEOUT_S)).declaration_result
        return told.message_count or 0, told.consumer_count or 0

    def leave(self, queue: str) -> AbstractChannel:
        """Have a queue no more: its channel, to be closed. What came by it and was not taken is the next one's."""
        channel = self.mine.pop(queue)
        self.came = deque(one for one in self.came if one[0] != queue)
        return channel


class _Peer(Peer):
    """A connection to RabbitMQ."""

    def __init__(self, at: Place) -> None:
        self._link: _Link | None = None
        host = quote(at.path[0], safe="") if len(at.path) > 1 else "%2F"
        super().__init__(at.name, at.server._replace(path=f"/{host}", query="").geturl(), f"salver-amqp-{at.topic}")

    async def _linked(self) -> _Link:
        if self._link is None or not self._link.lives:
            await self._end()
            connection = await aio_pika.connect(self._url, timeout=_TIMEOUT_S)
            self._link = _Link(connection, await connection.channel(publisher_confirms=True, on_return_raises=True))
        return self._link

    async def _end(self) -> None:
        link, self._link = self._link, None
        if link is not None and not link.connection.is_closed:
            await asyncio.wait_for(link.connection.close(), _TIMEOUT_S)

    def _ask(self, question: Coroutine[Any, Any, _Answer]) -> _Answer:
        try:
            return self._loop.run(self._in_time(question))
        except (exceptions.AuthenticationError, exceptions.ProbableAuthenticationError) as error:
            raise ConfigError("RabbitMQ does not let us in: user, password or virtual host is wrong") from error
        except exceptions.PublishError as error:
            raise ConfigError("RabbitMQ has no queue for what is sent; bind one to the exchange") from error
        except exceptions.ChannelPreconditionFailed as error:
            raise ConfigError(f"RabbitMQ refuses: {str(error)[:200]}") from error
        except (exceptions.AMQPError, exceptions.ChannelInvalidStateError, OSError, TimeoutError, CancelledError) as error:
            raise Unreachable(f"RabbitMQ can't be reached: {type(error).__name__}") from error
        except Exception as error:
            if type(error) is not Exception:
                raise
            # What waits for a channel that closes for no reason is told nothing else by the client library.
            raise Unreachable("RabbitMQ can't be reached: the channel was closed") from error

    async def _in_time(self, question: Coroutine[Any, Any, _Answer]) -> _Answer:
        limit = asyncio.timeout(_LIMIT_S)
        try:
            async with limit:
                return await question
        except TimeoutError:
            if limit.expired():
                await self._end()
            raise


class AmqpSource(_Peer):
    """The messages of a queue, or of its partitions, for a group."""

    ended = False
    leaving = None

    def __init__(self, at: Place) -> None:
        self._queues = at.partitions
        self._members = f"{at.topic}.{at.group}.members"  # nothing is ever in it; its consumers are counted
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
            members = await link.channel.declare_queue(self._members, auto_delete=True, timeout=_TIMEOUT_S)
            await members.consume(_nothing, no_ack=True, timeout=_TIMEOUT_S)
        return link

    async def _take(self, most: int, wait_s: float) -> list[Message]:
        link = await self._linked()
        if time.monotonic() >= self._looked_s:
            await self._share(link)
        if not link.came:
            link.arrived.clear()
            try:
                await asyncio.wait_for(link.arrived.wait(), wait_s)
            except TimeoutError:
                return []
        taken = [link.came.popleft() for _ in range(min(most, len(link.came)))]
        messages = [_message(link, queue, message) for queue, message in taken]
        for queue, message in taken:
            count, _ = link.under_way.get(queue, (0, 0))
            link.under_way[queue] = count + 1, message.delivery_tag or 0
        return messages

    async def _done(self, last: dict[str, tuple[_Link, str, AbstractIncomingMessage]]) -> None:
        """One acknowledgement a queue says it of all before. What came by a connection that broke comes again."""
        for link, queue, message in last.values():
            if link is self._link and link.lives and queue in link.mine:
                await message.ack(multiple=True)
                if link.under_way.get(queue, (0, 0))[1] == message.delivery_tag:
                    del link.under_way[queue]

    async def _lag(self) -> int:
        """What nobody was given yet, and what we were given and have not done."""
        link = await self._linked()
        left = 0
        for queue in self._queues:
            await link.require(queue)
            left += (await link.look(queue))[0]
        return left + len(link.came) + sum(count for count, _ in link.under_way.values())

    async def _share(self, link: _Link) -> None:
        """Take partitions that nobody has up to our share, and leave what is more than that."""
        self._looked_s = time.monotonic() + _LOOK_S
        _, members = await link.look(self._members)
        share = math.ceil(len(self._queues) / max(1, members))
        for queue in [*link.mine][share:]:
            if queue not in link.under_way:
                await link.leave(queue).close()
        for queue in self._queues:
            if len(link.mine) < share and queue not in link.mine:
                await self._join(link, queue)

    async def _join(self, link: _Link, name: str) -> None:
        """Become the consumer of a queue, if it has none. A channel of its own, since a refusal closes it."""

        await link.require(name)
        channel = await link.connection.channel()

        async def came(message: AbstractIncomingMessage) -> None:
            if link.mine.get(name) is channel:  # else it was on its way while we left, and is the next one's
                link.came.append((name, message))
                link.arrived.set()

        await channel.set_qos(prefetch_count=_AHEAD, timeout=_TIMEOUT_S)
        queue: AbstractQueue = await channel.get_queue(name, ensure=False)
        link.mine[name] = channel  # messages may come before the answer does
        try:
            await queue.consume(came, exclusive=True, timeout=_TIMEOUT_S)
        except Exception as error:
            link.leave(name)
            if not _is_taken(error):
                raise


class AmqpSink(Gathering, _Peer):
    """Sends to a queue; with `?exchange=NAME` to that exchange, and the last part of the path is the routing key."""

    def __init__(self, at: Place) -> None:
        self._key = at.topic
        Gathering.__init__(self)
        self._sending: tuple[_Link, asyncio.Future[Any]] | None = None
        self._exchange = at.options.get("exchange", "")
        _Peer.__init__(self, at)

    def _send(self, messages: Sequence[Outgoing]) -> None:
        self._ask(self._publish(messages))

    async def _publish(self, messages: Sequence[Outgoing]) -> None:
        """Where RabbitMQ takes its time, the next call goes on waiting: to send it all again would not be faster."""
        link = await self._linked()
        if self._sending is None or self._sending[0] is not link:
            exchange = link.channel.default_exchange
            if self._exchange:
                exchange = await link.channel.get_exchange(self._exchange, ensure=False)
            else:
                await link.require(self._key)
            sending = asyncio.gather(*(exchange.publish(_sent(message), self._key) for message in messages))
            self._sending = link, sending
        sending = self._sending[1]
        if not (await asyncio.wait({sending}, timeout=_TIMEOUT_S))[0]:
            raise TimeoutError
        self._sending = None
        await sending


def _is_taken(error: Exception) -> bool:
    """Whether a queue has a consumer already."""
    return isinstance(error, exceptions.ChannelClosed) and (
        not error.args or _REFUSED in error.args or "ACCESS_REFUSED" in str(error)
    )


async def _nothing(_message: AbstractIncomingMessage) -> None: ...


def _sent(message: Outgoing) -> aio_pika.Message:
    headers: dict[str, Any] = {name: None if value is None else legible(value) for name, value in message.headers}
    if message.key is not None:
        headers["key"] = legible(message.key)
    return aio_pika.Message(
        message.value,
        headers=headers,
        message_id=message.id,
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )


def _message(link: _Link, queue: str, message: AbstractIncomingMessage) -> Message:
    headers: Headers = [(name, _spelled(value)) for name, value in message.headers.items() if name != "key"]
    key = _spelled(message.headers.get("key"))
    # RabbitMQ numbers nothing: without an id of its sender, a message is known by all that it is.
    made_id = message.message_id or _digest(message.body, key, headers, message.timestamp)
    return Message(message.body, queue, made_id, key, headers, (link, queue, message))


def _spelled(value: Any) -> bytes | None:
    if value is None or isinstance(value, bytes | bytearray):
        return None if value is None else bytes(value)
    return str(value).encode("utf-8", "surrogateescape")


def _digest(body: bytes, *rest: Any) -> str:
    return hashlib.blake2b(repr(rest).encode() + body, digest_size=16).hexdigest()


def source(at: Place) -> AmqpSource:
    return AmqpSource(at)


def sink(at: Place) -> AmqpSink:
    return AmqpSink(at)
