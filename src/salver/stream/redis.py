"""Redis Streams. A stream is read by one process of a group at a time, so the messages of a key stay in their order.

Who reads holds a lease, which ends a few seconds after its process does: then another reads on, first what was taken and is not
done. `?partitions=4` reads `STREAM:0` to `STREAM:3`, each by whoever has its lease, so that several processes share the work;
who writes puts a key always in the same one. A message is an entry with the field `value`, and `key` if it has one; its other
fields are headers.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import redis
from redis import exceptions

from salver.errors import ConfigError, Unreachable
from salver.stream.contract import Headers, Message, Outgoing, octets, text
from salver.stream.gathering import Gathering
from salver.stream.places import Place

LEASE_S = 5.0
_CONSUMER = "salver"  # one at a time: what it took and left is its successor's
_TIMEOUT_S = 30.0
_NEW = 2
_VALUE, _KEY = b"value", b"key"
_PASSING = (
    redis.ConnectionError, redis.TimeoutError, exceptions.ReadOnlyError, exceptions.OutOfMemoryError, exceptions.ExecAbortError,
    exceptions.ClusterDownError, exceptions.TryAgainError,
)  # fmt: skip
_PASSING_WORDS = ("NOGROUP", "MISCONF", "NOREPLICAS")  # a group that was lost is made again
"""What ends by itself, or when somebody makes room."""

_Answer = TypeVar("_Answer")

# Ours already, or nobody's: then ours from now on.
_HOLD = """
local owner = redis.call('get', KEYS[1])
if owner == ARGV[1] or not owner then redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2]) return owner and 1 or 2 end
return 0
"""
# Those of the group that were heard of within the lease, by the clock of the server; us among them.
_COUNT = """
local now = redis.call('time')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('zadd', KEYS[1], now_ms, ARGV[1])
redis.call('zremrangebyscore', KEYS[1], 0, now_ms - ARGV[2])
return redis.call('zcard', KEYS[1])
"""
_LEAVE = "if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) end"


class RedisSource:
    """The entries of a stream, or of its partitions, for a group."""

    ended = False
    leaving = None

    def __init__(self, client: Any, name: str, streams: list[str], group: str, lease_s: float = LEASE_S) -> None:
        self.name = name
        self._client = client
        self._group = group
        self._lease_s = lease_s
        self._token = secrets.token_hex(16)
        self._streams = streams
        self._members = f"{streams[0]}:{group}:members"
        self._mine: dict[str, str] = {}  # stream → from where: an id of what was left undone, or ">"
        self._hold = client.register_script(_HOLD)
        self._count = client.register_script(_COUNT)
        self._leave = client.register_script(_LEAVE)
        self._held_s = 0.0
        self._next = 0

    def take(self, most: int, wait_s: float) -> list[Message]:
        try:
            return _reached(lambda: self._take(most, wait_s))
        except Unreachable:  # what we were given may not have come: it is asked for again, and so is who we are to the group
            self._mine.clear()
            self._held_s = 0.0
            raise

    def done(self, messages: Sequence[Message]) -> None:
        def acknowledge() -> None:
            with self._client.pipeline(transaction=False) as pipeline:
                for stream in dict.fromkeys(message.place for message in messages):
                    ids = [message.number for message in messages if message.place == stream]
                    pipeline.xack(stream, self._group, *ids)
                pipeline.execute()

        _reached(acknowledge)

    def lag(self) -> int | None:
        lags = _reached(lambda: [self._lag(stream) for stream in self._streams])
        return None if None in lags else sum(lag for lag in lags if lag is not None)

    def close(self) -> None:
        try:
            self._client.zrem(self._members, self._token)
            for stream in self._mine:
                self._leave(keys=[self._lease(stream)], args=[self._token])
            self._client.close()
        except redis.RedisError:
            pass  # the lease ends by itself

    def _take(self, most: int, wait_s: float) -> list[Message]:
        if time.monotonic() >= self._held_s:
            self._renew()
        streams = list(self._mine)
        if not streams:
            time.sleep(min(wait_s, self._lease_s / 5))
            return []
        self._next += 1
        stream = streams[self._next % len(streams)]
        if (left := self._mine[stream]) != ">":
            found = self._read({stream: left}, most, None)
            if found:
                self._mine[stream] = str(found[-1].number)
                return found
            self._mine[stream] = ">"
        fresh = [stream for stream in streams if self._mine[stream] == ">"]
        return self._read(dict.fromkeys(fresh, ">"), max(1, most // len(fresh)), max(1, int(wait_s * 1000)))

    def _read(self, streams: dict[str, str], most: int, block_ms: int | None) -> list[Message]:
        found: Any = self._client.xreadgroup(self._group, _CONSUMER, streams, count=most, block=block_ms)
        entries = found.items() if isinstance(found, dict) else found or []
        made: list[Message] = []
        for stream, answers in entries:
            batches = answers if isinstance(found, list) else [entry for batch in answers for entry in batch]
            made += [_message(stream.decode(), made_id, fields or {}) for made_id, fields in batches]
        return made

    def _renew(self) -> None:
        """Keep the leases that are ours, take those that are nobody's up to our share, and leave what is more than that."""
        lease_ms = int(self._lease_s * 1000)
        self._held_s = time.monotonic() + self._lease_s / 3
        share = math.ceil(len(self._streams) / int(self._count(keys=[self._members], args=[self._token, lease_ms])))
        for stream in list(self._mine)[share:]:  # nothing of it is under way: between two takes all is done
            self._leave(keys=[self._lease(stream)], args=[self._token])
            del self._mine[stream]
        for stream in self._streams:
            if stream in self._mine or len(self._mine) < share:
                got = self._hold(keys=[self._lease(stream)], args=[self._token, lease_ms])
                if not got:
                    self._mine.pop(stream, None)
                elif got == _NEW or stream not in self._mine:  # what was taken before us may not be done
                    self._join(stream)
                    self._mine[stream] = "0"

    def _join(self, stream: str) -> None:
        try:
            self._client.xgroup_create(stream, self._group, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def _lease(self, stream: str) -> str:
        return f"{stream}:{self._group}:lease"

    def _lag(self, stream: str) -> int | None:
        """What a group was not given yet the server does not count before Redis 7, and miscounts after it was started again."""
        if not self._client.exists(stream):
            return 0
        for group in self._client.xinfo_groups(stream):
            if group["name"] in (self._group, self._group.encode()):
                lag, pending = group.get("lag"), int(group["pending"])
                if not self._client.xrange(stream, b"(" + group["last-delivered-id"], count=1):
                    return pending
                return None if lag is None else max(1, int(lag)) + pending
        return int(self._client.xlen(stream))


class RedisSink(Gathering):
    """Adds entries to a stream."""

    def __init__(self, client: Any, name: str, stream: str) -> None:
        super().__init__()
        self.name = name
        self._client = client
        self._stream = stream

    def _send(self, messages: Sequence[Outgoing]) -> None:
        def add() -> None:
            with self._client.pipeline(transaction=True) as pipeline:  # all or none: what fails leaves no gap in the order
                for message in messages:
                    fields = [part for name, value in message.headers for part in (octets(name), value or b"")]
                    key = [] if message.key is None else [_KEY, message.key]
                    pipeline.execute_command("XADD", self._stream, "*", *fields, *key, _VALUE, message.value)
                pipeline.execute()

        _reached(add)

    def close(self) -> None:
        self._client.close()


def _message(stream: str, made_id: bytes, fields: dict[bytes, bytes]) -> Message:
    value, key = fields.pop(_VALUE, b""), fields.pop(_KEY, None)
    headers: Headers = [(text(name), found) for name, found in fields.items()]
    return Message(value, stream, made_id.decode(), key, headers)


def _reached(ask: Callable[[], _Answer]) -> _Answer:
    try:
        return ask()
    except redis.AuthenticationError as error:
        raise ConfigError("Redis does not let us in: user or password is wrong") from error
    except _PASSING as error:
        raise Unreachable(f"Redis can't be reached, or can't do it now: {type(error).__name__}") from error
    except redis.ResponseError as error:
        if str(error).startswith(_PASSING_WORDS):
            raise Unreachable(f"Redis can't do it now: {str(error)[:200]}") from error
        raise ConfigError(f"Redis refuses: {str(error)[:200]}") from error


def _client(at: Place) -> Any:
    database = at.path[0] if len(at.path) > 1 else "0"
    if not database.isdecimal():
        raise ConfigError("redis://HOST/STREAM, or redis://HOST/NUMBER/STREAM with the number of a database")
    url = at.server._replace(path=f"/{database}", query="").geturl()
    return redis.Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=5.0, protocol=2)


def source(at: Place) -> RedisSource:
    return RedisSource(_client(at), at.name, at.partitions, at.group)


def sink(at: Place) -> RedisSink:
    return RedisSink(_client(at), at.name, at.topic)
