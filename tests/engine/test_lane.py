"""Requests that run together: who is answered, who is not, and what is in the log before."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from salver.artifact.artifact import open_artifact
from salver.engine.batch import values_of
from salver.engine.batcher import Limits
from salver.engine.lane import Append, Lane
from salver.engine.model import Model
from salver.errors import LogUnavailable, Overloaded, PredictionFailed, TooLarge
from salver.log.record import Record
from salver.types.signature import Column, Output
from tests.echo import echo_folder
from tests.engine.noted import Noted, until_told

_SLOW_S = 0.1


class Lines:
    """A log in memory, in which `full` can be set."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.appends = 0
        self.full = False

    def append(self, lines: bytes) -> None:
        if self.full:
            raise LogUnavailable("no space")
        self.appends += 1
        self.written += lines

    @property
    def records(self) -> list[Record]:
        return msgspec.json.Decoder(Record).decode_lines(bytes(self.written))


@pytest.fixture
def lines() -> Iterator[Lines]:
    yield Lines()


def lane(tmp_path: Path, append: Append | None = None, limits: Limits | None = None, **echo: Any) -> Lane:
    return Lane(Model(open_artifact(echo_folder(tmp_path / "echo", **echo)), version=3), append, limits)


def test_all_requests_of_a_turn_share_a_call_and_a_write(tmp_path: Path, lines: Lines) -> None:
    async def ask() -> list[Noted]:
        made = lane(tmp_path, lines.append)
        requests = [Noted([[float(i)], [float(-i)]]) for i in range(50)]
        await until_told(made, *requests)
        await made.close()
        assert (made.stats.rows, made.stats.batch_rows.count, made.stats.latency_s.count) == (100, 1, 50)
        return requests

    requests = asyncio.run(ask())
    assert [request.answer for request in requests] == [[i, -i] for i in range(50)]
    assert lines.appends == 1
    assert [record.id for record in lines.records] == [made for request in requests for made in request.ids]


def test_a_record_says_what_was_asked_and_answered(tmp_path: Path, lines: Lines) -> None:
    columns = (Column("a", nullable=True, infinite=True), Column("b"))
    rows: list[list[Any]] = [[float("nan"), 1.0], [float("inf"), 2.0], [float("-inf"), 3.0], [0.5, 4.0]]

    async def ask() -> Noted:
        made = lane(tmp_path, lines.append, columns=columns)
        request = Noted(rows, keys=["w", None, "y", "z"], trace="00-1")
        await until_told(made, Noted([[1.0, 1.0]]), request, Noted([]))
        await made.close()
        return request

    request = asyncio.run(ask())
    first, *records = lines.records
    assert (first.key, first.trace) == (None, None)
    assert [record.id for record in records] == request.ids
    assert [record.inputs for record in records] == [
        {"a": None, "b": 1}, {"a": "Infinity", "b": 2}, {"a": "-Infinity", "b": 3}, {"a": 0.5, "b": 4}
    ]  # fmt: skip
    assert records[3].outputs == {"prediction": 0.5}
    assert [record.key for record in records] == ["w", None, "y", "z"]
    record = records[0]
    assert (record.model, record.version, record.route, record.source, record.trace) == ("echo", 3, "live", "test", "00-1")
    assert abs(record.ts / 1e6 - time.time()) < 60
    assert record.latency_us >= 0


def test_arrays_and_rows_share_a_batch(tmp_path: Path, lines: Lines) -> None:
    async def ask() -> list[Noted]:
        made = lane(tmp_path, lines.append, columns=(Column("a"), Column("b")))
        requests = [
            Noted([[1.0, 10.0]]),
            Noted(columns={"a": np.array([2.0, 3.0]), "b": np.array([20.0, 30.0])}),
            Noted([[4.0, 40.0]]),
        ]
        await until_told(made, *requests)
        await made.close()
        assert made.stats.batch_rows.count == 1
        return requests

    assert [request.answer for request in asyncio.run(ask())] == [[1], [2, 3], [4]]
    assert [record.inputs["b"] for record in lines.records] == [10, 20, 30, 40]


@pytest.mark.parametrize("guilty", [[0], [7], [0, 1, 2], [3, 9], list(range(10))])
@pytest.mark.filterwarnings("default")
def test_only_guilty_requests_fail(tmp_path: Path, lines: Lines, guilty: list[int], caplog: pytest.LogCaptureFixture) -> None:
    async def ask() -> list[Noted]:
        made = lane(tmp_path, lines.append, fail_above=100)
        requests = [Noted([[float(i)], [1e6 if i in guilty else 0.5]]) for i in range(10)]
        await until_told(made, *requests)
        await made.close()
        assert made.stats.errors["prediction_failed"] == len(guilty)
        return requests

    with caplog.at_level(logging.CRITICAL, "salver"):
        requests = asyncio.run(ask())
    for i, request in enumerate(requests):
        if i in guilty:
            assert isinstance(request.error, PredictionFailed)
            assert "ValueError" in request.error.message
            assert "limit" not in request.error.message
        else:
            assert request.answer == [i, 0.5]
    assert len(lines.records) == 2 * (10 - len(guilty))


def test_a_row_that_no_log_can_hold_fails_alone(tmp_path: Path, lines: Lines, caplog: pytest.LogCaptureFixture) -> None:
    async def ask() -> list[Noted]:
        made = lane(tmp_path, lines.append, columns=(Column("a"), Column("b", "string")), rows=[[1.0, "x"]])
        requests = [Noted([[1.0, "fine"]]), Noted([[2.0, "\ud800"]]), Noted([[3.0, "fine"]])]
        await until_told(made, *requests)
        late = Noted([[4.0, "fine"]])
        await until_told(made, late)
        await made.close()
        return [*requests, late]

    with caplog.at_level(logging.CRITICAL, "salver"):
        first, guilty, third, late = asyncio.run(ask())
    assert isinstance(guilty.error, PredictionFailed)
    assert (first.answer, third.answer, late.answer) == ([1], [3], [4])
    assert len(lines.records) == 3


def test_what_is_not_logged_is_not_answered(tmp_path: Path, lines: Lines) -> None:
    async def ask() -> tuple[list[Noted], list[Noted]]:
        made = lane(tmp_path, lines.append)
        lines.full = True
        before = [Noted([[1.0]]), Noted([[2.0]])]
        await until_told(made, *before)
        lines.full = False
        after = [Noted([[3.0]])]
        await until_told(made, *after)
        await made.close()
        return before, after

    before, after = asyncio.run(ask())
    assert [request.error.code for request in before] == ["log_unavailable"] * 2
    assert after[0].answer == [3]
    assert [record.inputs["x0"] for record in lines.records] == [3]


def test_the_log_has_it_before_the_client(tmp_path: Path, lines: Lines) -> None:
    seen: list[int] = []

    class Looking(Noted):
        def answered(self, batch: Any, start: int) -> None:
            seen.append(len(lines.records))
            super().answered(batch, start)

    async def ask() -> None:
        made = lane(tmp_path, lines.append)
        await until_told(made, Looking([[1.0]]), Looking([[2.0]]))
        await made.close()

    asyncio.run(ask())
    assert seen == [2, 2]


def test_a_full_queue_refuses_at_once_and_the_rest_is_answered(tmp_path: Path) -> None:
    async def ask() -> None:
        made = lane(tmp_path, limits=Limits(queue_rows=5), delay_s=_SLOW_S)
        requests = [Noted([[float(i)]]) for i in range(5)]
        for request in requests:
            made.submit(request)
        started = time.perf_counter()
        with pytest.raises(Overloaded):
            made.submit(Noted([[9.0]]))
        with pytest.raises(TooLarge):
            made.submit(Noted([[9.0]] * 6))
        assert time.perf_counter() - started < _SLOW_S / 2
        assert (made.stats.errors["overloaded"], made.stats.errors["too_large"]) == (1, 1)
        await made.close()
        assert [request.answer for request in requests] == [[i] for i in range(5)]

    asyncio.run(ask())


def test_a_slow_model_works_off_the_event_loop(tmp_path: Path) -> None:
    async def ask() -> float:
        made = lane(tmp_path, delay_s=_SLOW_S)
        request = Noted([[1.0]])
        made.submit(request)
        longest, last = 0.0, time.perf_counter()
        while not request.outcomes:
            await asyncio.sleep(0)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
        await made.close()
        return longest

    assert asyncio.run(ask()) < _SLOW_S / 2


def test_while_a_slow_model_works_the_next_batch_gathers(tmp_path: Path) -> None:
    async def ask() -> Lane:
        made = lane(tmp_path, delay_s=_SLOW_S)
        first = asyncio.create_task(until_told(made, Noted([[0.0]])))
        await asyncio.sleep(_SLOW_S / 4)
        requests = [Noted([[float(i)]]) for i in range(20)]
        for request in requests:
            made.submit(request)
            await asyncio.sleep(0)
        await made.close()
        await first
        assert [request.answer for request in requests] == [[i] for i in range(20)]
        return made

    assert asyncio.run(ask()).stats.batch_rows.count == 2


@pytest.mark.parametrize("batch_rows", [1024, 2])
def test_nobody_is_kept_waiting_by_those_who_left(tmp_path: Path, lines: Lines, batch_rows: int) -> None:
    async def ask() -> tuple[list[Noted], Noted, Lane]:
        made = lane(tmp_path, lines.append, Limits(batch_rows=batch_rows))
        leaving, staying = [Noted([[float(i)]]) for i in range(6)], Noted([[7.0]])
        for request in (*leaving, staying):
            made.submit(request)
        for request in leaving:
            request.disconnected = True
        async with asyncio.timeout(5):
            while not staying.outcomes:
                await asyncio.sleep(0.001)
        await made.close()
        return leaving, staying, made

    leaving, staying, made = asyncio.run(ask())
    assert staying.answer == [7]
    assert not any(request.outcomes for request in leaving)
    assert made.stats.gone == 6
    assert len(lines.records) == 1


def test_close_answers_what_waits_and_leaves_no_thread(tmp_path: Path) -> None:
    async def ask() -> list[Noted]:
        made = lane(tmp_path, limits=Limits(batch_rows=1), delay_s=0.02)
        requests = [Noted([[float(i)]]) for i in range(4)]
        for request in requests:
            made.submit(request)
        await made.close()
        return requests

    assert [request.answer for request in asyncio.run(ask())] == [[0], [1], [2], [3]]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("salver-")]


def test_no_rows_are_answered_with_none(tmp_path: Path, lines: Lines) -> None:
    async def ask() -> list[Noted]:
        made = lane(tmp_path, lines.append)
        requests = [Noted([]), Noted([[1.0]]), Noted([])]
        await until_told(made, *requests)
        alone = Noted([])
        await until_told(made, alone)
        await made.close()
        return [*requests, alone]

    assert [request.answer for request in asyncio.run(ask())] == [[], [1], [], []]
    assert len(lines.records) == 1


def test_indices_become_the_classes_they_stand_for() -> None:
    assert values_of(Output("p", "int64", classes=("no", "yes")), np.array([1, 0])) == ["yes", "no"]
    several = Output("p", "int64", (2,), ((0, 1), ("no", "yes")))
    assert values_of(several, np.array([[1, 0], [0, 1]])) == [[1, "no"], [0, "yes"]]
    assert values_of(Output("p", shape=(2,)), np.array([[1.0, 2.0]])) == [[1.0, 2.0]]
