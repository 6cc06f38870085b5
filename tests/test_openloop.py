"""The generator of open-loop load: what waits counts, what gets no answer counts, and nothing is asked twice."""

from __future__ import annotations

import asyncio
from collections import Counter

from benchmarks.openloop import BROKEN, Run, arrivals, offer, question

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


async def _run(behaviour: dict[str, float], rate_per_s: float, seconds: float, connections: int) -> tuple[Run, Counter[bytes]]:
    seen: Counter[bytes] = Counter()
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await _answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            body = (await reader.readuntil(b"}")).rpartition(b"\r\n\r\n")[2]
            seen[body] += 1
            what = behaviour.get(body.decode(), 0.0)
            if what < 0:
                writer.write(BUSY)
                return
            await asyncio.sleep(what)
            writer.write(ANSWER)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/predict"
    questions = [question(url, body) for body in behaviour]
    try:
        return await offer(url, questions, arrivals(rate_per_s, seconds), connections=connections, timeout_s=0.5), seen
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving)
        await asyncio.sleep(0)  # what was closed is gone in the next turn


def test_a_stall_is_seen_by_all_that_were_due_meanwhile() -> None:
    run, seen = asyncio.run(_run({"{0}": 0.2, "{1}": 0.0, "{2}": 0.0, "{3}": 0.0}, 100, 0.04, connections=1))
    assert run.statuses == {200: 4}
    assert set(seen.values()) == {1}
    latencies = [answer.latency_s for answer in sorted(run.answers, key=lambda answer: answer.due_s)]
    assert all(0.2 - 0.01 * i - 0.001 < latency < 0.4 for i, latency in enumerate(latencies))


def test_refusals_and_answers_that_never_come_are_counted_and_connections_made_anew() -> None:
    run, _ = asyncio.run(_run({"{0}": 0.0, "{1}": -1.0, "{2}": 60.0}, 100, 0.3, connections=20))
    assert run.statuses == {200: 10, 503: 10, BROKEN: 10}


def test_random_arrivals_come_at_the_rate_that_was_asked_for() -> None:
    due_s = arrivals(1000, 20, seed=1)
    assert due_s == sorted(due_s)
    assert abs(len(due_s) - 20_000) < 5 * 20_000**0.5
