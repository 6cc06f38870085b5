"""What goes wrong in one place stays there: killed servers, guilty requests, slow models, full queues."""

from __future__ import annotations

import asyncio
import json
import random
import resource
import signal
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import psutil
import pytest

from salver.log.reader import read_records, segments
from salver.log.record import Record
from tests.echo import echo_folder
from tests.server.wire import Response, Wire, get, post
from tests.serving import Served, serving

SLOW_S = 0.25
_SECRET = 777_888_999.0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of a fast model, a slow one, and a slow one that raises above 100."""
    folder = tmp_path_factory.mktemp("models")
    models = [
        echo_folder(folder / "fast"),
        echo_folder(folder / "slow", delay_s=SLOW_S),
        echo_folder(folder / "failing", delay_s=0.05, fail_above=100),
    ]
    with serving(models) as server:
        yield server


def predict(model: str) -> str:
    return f"/models/{model}/predict"


def together(served: Served, bodies: list[object], model: str) -> list[Future[Response]]:
    """Each body on a connection of its own, sent while the model is busy with a first one, so that they share a batch."""
    pool = ThreadPoolExecutor(len(bodies) + 1)
    pool.submit(_ask, served, post(predict(model), {"features": [0]}))
    time.sleep(0.02)
    answers = [pool.submit(_ask, served, post(predict(model), body)) for body in bodies]
    pool.shutdown(wait=False)
    return answers


def _ask(served: Served, data: bytes) -> Response:
    with Wire(served.url) as wire:
        return wire.ask(data)


# A killed server


@pytest.mark.parametrize("rounds", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_every_answered_prediction_survives_kill_9(tmp_path: Path, rounds: int) -> None:
    model, store = echo_folder(tmp_path / "echo"), tmp_path / "store"
    draw = random.Random(rounds)
    answered: list[str] = []
    for _ in range(rounds):
        with serving([model], store=store) as server:
            before = len(answered)
            asyncio.run(_load_until_dead(server, draw.uniform(0.1, 0.7), answered))
            assert len(answered) > before
    logged = Counter(record.id for record in read_records(store))
    assert set(logged.values()) == {1}
    assert set(answered) <= set(logged)
    assert len(segments(store)) == rounds


def test_a_torn_last_line_costs_nothing_else(tmp_path: Path) -> None:
    model, store = echo_folder(tmp_path / "echo"), tmp_path / "store"
    with serving([model], store=store) as server:
        ids = [_ask(server, post("/predict", {"features": [i]})).json["id"] for i in range(3)]
    (segment,) = segments(store)
    segment.write_bytes(segment.read_bytes()[:-20])
    with serving([model], store=store) as server:
        ids.append(_ask(server, post("/predict", {"features": [3]})).json["id"])
    assert [record.id for record in read_records(store)] == [ids[0], ids[1], ids[3]]


async def _load_until_dead(server: Served, after_s: float, answered: list[str]) -> None:
    clients = [asyncio.create_task(_client(server, answered, rows)) for rows in (1, 1, 1, 1, 1, 1, 3, 20)]
    await asyncio.sleep(after_s)
    server.process.kill()
    await asyncio.gather(*clients)
    assert server.process.wait() == -signal.SIGKILL


async def _client(server: Served, answered: list[str], rows: int) -> None:
    """Ask without pause and note the ids of whole answers, until the server is gone."""
    parts = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    question = post("/predict", {"instances": [[float(i)] for i in range(rows)]})
    try:
        while True:
            writer.write(question)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            answered += json.loads(await reader.readexactly(length))["ids"]
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


# Neighbours


def test_a_guilty_request_fails_alone(served: Served) -> None:
    values = [1.0, 2.0, _SECRET, 4.0, 5.0, 6.0, 7.0, 8.0]
    answers = [answer.result() for answer in together(served, [{"features": [v]} for v in values], "failing")]
    guilty = answers.pop(2)
    values.remove(_SECRET)
    assert [answer.json["prediction"] for answer in answers] == values
    assert (guilty.status, guilty.json["code"]) == (500, "prediction_failed")
    assert str(int(_SECRET)).encode() not in guilty.body
    assert b"above the limit" not in guilty.body


def test_a_bad_request_fails_alone(served: Served) -> None:
    bodies = [{"features": [1]}, {"features": ["text"]}, {"features": [1, 2]}, {"instances": [[3], [4]]}]
    answers = [answer.result() for answer in together(served, bodies, "slow")]
    assert [answer.status for answer in answers] == [200, 422, 422, 200]
    assert answers[3].json["predictions"] == [3, 4]


@pytest.mark.parametrize("headers", [(), ("server-timing: 1",)], ids=["hot", "plain"])
def test_a_cancelled_request_harms_nobody(served: Served, headers: tuple[str, ...]) -> None:
    leaving = Wire(served.url)
    answers = together(served, [{"features": [i]} for i in range(5)], "slow")
    leaving.send(post(predict("slow"), {"features": [99]}, *headers))
    time.sleep(0.05)
    leaving.socket.close()
    assert [answer.result().json["prediction"] for answer in answers] == [0, 1, 2, 3, 4]
    assert _ask(served, post(predict("slow"), {"features": [7]})).json["prediction"] == 7


def test_a_slow_model_delays_nobody_else(served: Served) -> None:
    waiting = together(served, [{"features": [i]} for i in range(3)], "slow")
    times: list[float] = []
    with Wire(served.url) as wire:
        while not all(answer.done() for answer in waiting):
            started = time.perf_counter()
            assert wire.ask(get("/health/live")).status == 200
            assert wire.ask(post(predict("fast"), {"features": [1]})).status == 200
            times.append(time.perf_counter() - started)
    assert statistics.median(times) < 0.1
    assert max(times) < SLOW_S


# Limits


def test_a_full_queue_refuses_at_once(served: Served) -> None:
    rows = post(predict("slow"), {"instances": [[1]] * 6000})  # 65,536 rows may wait
    with ThreadPoolExecutor(14) as pool:
        asked = [pool.submit(_timed, served, rows) for _ in range(14)]
    answers = [answer.result() for answer in asked]
    refused = [(answer, took_s) for answer, took_s in answers if answer.status != 200]
    assert 1 <= len(refused) <= 6  # four on a quick machine; where answers take longer fewer may wait, eight always
    for answer, took_s in refused:
        assert (answer.status, answer.json["code"]) == (429, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1
        assert took_s < 10 * SLOW_S


def test_what_is_too_late_is_dropped_and_costs_nothing(served: Served) -> None:
    before = len(list(read_records(served.store)))
    running = together(served, [{"features": [1]}], "slow")
    time.sleep(SLOW_S / 4)
    late = _ask(served, post(predict("slow"), {"features": [2]}, "x-request-timeout-ms: 20"))
    assert (late.status, late.json["code"]) == (504, "deadline_exceeded")
    assert running[0].result().status == 200
    assert {"x0": 2.0} not in [record.inputs for record in list(read_records(served.store))[before:]]
    assert _ask(served, post(predict("slow"), {"features": [2]}, "x-request-timeout-ms: 20000")).status == 200
    assert _ask(served, post(predict("slow"), {"features": [2]}, "x-request-timeout-ms: soon")).status == 422


def test_more_rows_than_a_queue_ever_holds_are_too_large(served: Served) -> None:
    answer = _ask(served, post(predict("fast"), {"instances": [[1]] * 65_537}))
    assert (answer.status, answer.json["code"]) == (413, "too_large")


def _timed(served: Served, data: bytes) -> tuple[Response, float]:
    started = time.perf_counter()
    return _ask(served, data), time.perf_counter() - started


def test_sigterm_answers_what_is_in_flight_and_ends_well(tmp_path: Path) -> None:
    model, store = echo_folder(tmp_path / "slow", delay_s=SLOW_S), tmp_path / "store"
    with serving([model], store=store) as server:
        answers = together(server, [{"features": [i]} for i in range(6)], "slow")
        time.sleep(SLOW_S / 4)
        server.process.send_signal(signal.SIGTERM)
        assert [answer.result().json["prediction"] for answer in answers] == [0, 1, 2, 3, 4, 5]
        assert server.process.wait(20) == 0
    assert len(list(read_records(store))) == 7


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_under_load_ends_well_and_loses_nothing(tmp_path: Path, workers: str) -> None:
    """Neither what was asked nor what was logged; some ask without pause, some now and then."""
    model, store = echo_folder(tmp_path / "echo"), tmp_path / "store"
    answered: list[str] = []
    with serving([model], store=store, arguments=["--workers", workers]) as server:
        assert asyncio.run(_load_until_told(server, answered)) == 0
        assert server.process.wait(20) == 0
    decoder = msgspec.json.Decoder(Record)
    logged = [record.id for segment in segments(store) for record in decoder.decode_lines(segment.read_bytes())]
    assert sorted(answered) == sorted(logged)


async def _load_until_told(server: Served, answered: list[str]) -> int:
    """How many requests got no answer."""
    clients = [asyncio.create_task(_keen_client(server, answered, pause_s)) for pause_s in (0, 0, 0, 0.003, 0.02, 0.1, 0.3)]
    await asyncio.sleep(0.7)
    server.process.terminate()
    return sum(await asyncio.wait_for(asyncio.gather(*clients), 20))


async def _keen_client(server: Served, answered: list[str], pause_s: float) -> int:
    """Ask, on a new connection where the last one was said to close, until none is to be had. Returns what was lost."""
    parts, question = urlsplit(server.url), post("/predict", {"features": [1]})
    while True:
        try:
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        except ConnectionError:
            return 0
        try:
            head = b""
            while b"connection: close" not in head:
                writer.write(question)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
                answered.append(json.loads(await reader.readexactly(length))["id"])
                await asyncio.sleep(pause_s)
        except (asyncio.IncompleteReadError, ConnectionError):
            return 1
        finally:
            writer.close()


def test_heads_that_never_come_again_do_not_fill_memory(served: Served) -> None:
    process = psutil.Process(served.process.pid)

    def ask_many(numbers: range) -> int:
        with Wire(served.url) as wire:
            for i in numbers:
                assert wire.ask(post(predict("fast"), {"features": [1]}, f"x-request-id: {i:0>1000}")).status == 200
        return process.memory_info().rss

    before = ask_many(range(3_000))
    after = ask_many(range(3_000, 20_000))
    assert after - before < 8 * 2**20  # 17,000 heads of 1 kB would be more than twice that


def test_a_full_disk_refuses_predictions_and_nothing_else(tmp_path: Path) -> None:
    model, store = echo_folder(tmp_path / "echo"), tmp_path / "store"
    ask = post("/predict", {"features": [1]})
    with serving([model], store=store) as server, Wire(server.url) as wire:
        answered = [wire.ask(ask).json["id"]]
        (segment,) = segments(store)
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        # To that process, the disk is full in the middle of the third line from here.
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (int(3.5 * segment.stat().st_size), unlimited[1]))
        answers = [wire.ask(ask) for _ in range(6)]
        assert [answer.status for answer in answers] == [200, 200, 503, 503, 503, 503]
        assert answers[-1].json["code"] == "log_unavailable"
        assert wire.ask(get("/health/live")).status == 200
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, unlimited)
        answers += [wire.ask(ask) for _ in range(2)]
        answered += [answer.json["id"] for answer in answers if answer.status == 200]
    assert [record.id for record in read_records(store)] == answered
    assert len(answered) == 5


def test_told_to_stop_while_lowering_it_stops(tmp_path: Path) -> None:
    """The model's library takes a minute to read it; nobody waits for that, and its process goes too."""
    model = tmp_path / "sleepy.pkl"
    model.write_bytes(b"ctime\nsleep\n(I60\ntR.")  # a pickle that sleeps 60 s when it is read
    with serving([model], wait=False) as served:
        lowering = _child(served.process.pid)
        served.process.terminate()
        assert served.process.wait(timeout=5) == 0
        psutil.wait_procs([lowering], timeout=5)
        assert not lowering.is_running()


def _child(pid: int) -> psutil.Process:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        children = psutil.Process(pid).children()
        if children:
            return children[0]
        time.sleep(0.05)
    raise AssertionError("no process was started for lowering")
