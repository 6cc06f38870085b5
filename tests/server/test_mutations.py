"""Thousands of requests that are almost right: none is answered with 5xx, nobody else notices, and memory stays as it was."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import httpx
import psutil
import pytest

from salver.server.rpc.messages import SERVICE, message
from tests.server.mutations import ROW, grpc_messages, grpc_seeds, http_seeds, mutated, no_json
from tests.serving import Served

AT_ONCE = 16
GROWTH_MB = 16
PATIENCE_S = 30.0


class Bystander:
    """A client of good manners, over HTTP and gRPC, that must not notice anything."""

    def __init__(self, served: Served) -> None:
        self.took_s: list[float] = []
        self.wrong: list[str] = []
        self._served = served
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    @contextmanager
    def beside(self) -> Iterator[Bystander]:
        self._thread.start()
        try:
            yield self
        finally:
            self._done.set()
            self._thread.join()

    def _ask(self) -> None:
        kind, content = message("ModelInferResponse"), grpc_messages()[1]
        with (
            httpx.Client(base_url=self._served.url, timeout=PATIENCE_S) as http,
            grpc.insecure_channel(self._served.grpc) as channel,
        ):
            infer = channel.unary_unary(f"/{SERVICE}/ModelInfer", None, kind.FromString)
            while not self._done.wait(0.02):
                start = time.perf_counter()
                try:
                    answer = http.post("/models/iris_model/predict", json={"features": ROW})
                    got: Any = (
                        answer.json().get("prediction"),
                        list(infer(content, timeout=PATIENCE_S).outputs[0].contents.int64_contents),
                    )
                except (httpx.HTTPError, grpc.RpcError) as error:
                    got = repr(error)
                if got != (0, [0, 0]):
                    self.wrong.append(str(got))
                self.took_s.append(time.perf_counter() - start)


async def answered(address: tuple[str, int], request: bytes) -> bytes:
    """All that comes back when a client sends this and then says no more."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(request)
        if writer.can_write_eof():
            writer.write_eof()
        return await asyncio.wait_for(reader.read(-1), PATIENCE_S)
    except (ConnectionError, BrokenPipeError):
        return b""
    finally:
        writer.close()


def status_of(answer: bytes) -> int:
    """Of the first response, whose JSON must be JSON; 0 where there is none."""
    if not answer:
        return 0
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 "), answer[:100]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])}
    body = rest[: int(headers.get(b"content-length", b"0"))]
    if (
        b"json" in headers.get(b"content-type", b"")
        and b"content-encoding" not in headers
        and headers.get(b"content-type") == b"application/json"
    ):
        json.loads(body, parse_constant=no_json)
    return int(head[9:12])


async def http_statuses(served: Served, count: int, draw: random.Random) -> Counter[int]:
    seeds, statuses, left = http_seeds(), Counter[int](), iter(range(count))
    host, _, port = served.url.removeprefix("http://").partition(":")

    async def some() -> None:
        for _ in left:
            request = mutated(draw.choice(seeds), seeds, draw)
            status = status_of(await answered((host, int(port)), request))
            assert status < 500, (status, request)
            statuses[status] += 1

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return statuses


async def broken_frames(served: Served, count: int, draw: random.Random) -> None:
    seeds, left = grpc_seeds(), iter(range(count))
    host, _, port = served.grpc.partition(":")

    async def some() -> None:
        for _ in left:
            await answered((host, int(port)), mutated(draw.choice(seeds), seeds, draw))

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


async def grpc_codes(served: Served, count: int, draw: random.Random) -> Counter[str]:
    seeds, codes, left = grpc_messages(), Counter[str](), iter(range(count))
    async with grpc.aio.insecure_channel(served.grpc) as channel:
        infer = channel.unary_unary(f"/{SERVICE}/ModelInfer")

        async def some() -> None:
            for _ in left:
                request = mutated(draw.choice(seeds), seeds, draw)
                try:
                    await infer(request, timeout=draw.choice((PATIENCE_S, None)))
                    codes["OK"] += 1
                except grpc.aio.AioRpcError as error:
                    codes[error.code().name] += 1
                    assert error.code().name not in ("INTERNAL", "UNKNOWN", "UNAVAILABLE", "DEADLINE_EXCEEDED"), (
                        error,
                        request,
                    )

        await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return codes


def resident_mb(served: Served) -> float:
    return psutil.Process(served.process.pid).memory_info().rss / 2**20


def all_of_it(served: Served, requests: int, seed: int) -> None:
    draw = random.Random(seed)
    few = max(300, requests // 20)
    asyncio.run(http_statuses(served, few, draw))  # what is imported or cached once is there now
    asyncio.run(grpc_codes(served, few, draw))
    asyncio.run(broken_frames(served, few, draw))
    before_mb = resident_mb(served)
    with Bystander(served).beside() as bystander:
        statuses = asyncio.run(http_statuses(served, requests * 6 // 10, draw))
        codes = asyncio.run(grpc_codes(served, requests * 2 // 10, draw))
        asyncio.run(broken_frames(served, requests * 2 // 10, draw))
    assert not bystander.wrong and bystander.took_s and max(bystander.took_s) < 2, (bystander.wrong[:3], max(bystander.took_s))
    assert statuses[200] and statuses[400] and codes["OK"] and codes["INVALID_ARGUMENT"]
    assert resident_mb(served) < before_mb + GROWTH_MB, (before_mb, resident_mb(served))
    assert served.process.poll() is None
    slowest_s, now_mb = max(bystander.took_s), resident_mb(served)
    print(f"{dict(statuses)} {dict(codes)}; {before_mb:.0f} → {now_mb:.0f} MB; the slowest bystander took {slowest_s:.3f} s")


def test_requests_that_are_almost_right(several: Served) -> None:
    all_of_it(several, 3000, seed=1)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_of_them(several: Served) -> None:
    all_of_it(several, 100_000, seed=2)
