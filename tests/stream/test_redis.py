"""What only Redis's source has to mind."""

from __future__ import annotations

import redis

from salver.stream.places import open_source, place
from tests.stream.brokers import broker, wait_for
from tests.stream.test_brokers import events


def test_nothing_is_left_when_a_redis_that_miscounts_has_given_all() -> None:
    """What a group was given since its file was last rewritten, a server that is started again does not count."""
    with broker("redis") as server:
        server.fill("counted", events(range(300)))
        at = place(server.source("counted"))
        with redis.Redis.from_url(at.server.geturl()) as client:
            first = open_source(at)
            first.done(first.take(100, 10))
            client.bgrewriteaof()
            wait_for(
                lambda: client.info("persistence")["aof_rewrites"] and not client.info("persistence")["aof_rewrite_in_progress"]
            )
            first.done(first.take(100, 10))
            first.close()
            server.kill()
            server.start()
            second = open_source(at)
            assert second.lag() != 0
            wait_for(lambda: second.done(taken := second.take(100, 0.5)) or taken)
            assert second.lag() == 0
            second.close()
