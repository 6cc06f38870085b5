"""A model in a process of its own: whatever happens there, the server gets an answer or a clear error, and goes on."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import pickle
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from salver.artifact.artifact import describe_files, open_artifact, write_golden, write_manifest
from salver.artifact.manifest import Golden, Lowering, Manifest, RuntimeSpec
from salver.artifact.trust import Policy
from salver.engine.lane import Lane
from salver.engine.model import Model
from salver.errors import PredictionFailed, Unavailable
from salver.runtimes.environment import host_command
from salver.runtimes.limits import HostLimits
from salver.runtimes.native import NativeRuntime
from salver.types.framework import Framework
from salver.types.signature import Column, Output, Signature
from tests.engine.noted import Noted, until_told
from tests.runtimes.failing import DIE, EXIT, FEWER, OK, RAISE, SECRET, SLOW, Failing, Unloadable, Unreadable


def stored(model: Any, folder: Path) -> Path:
    file = folder / "model.pkl"
    file.write_bytes(pickle.dumps(model))
    return file


def native(file: Path, limits: HostLimits | None = None) -> NativeRuntime:
    return NativeRuntime(host_command(file.parent), [str(file)], limits)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NativeRuntime]:
    """One for all tests: it goes on after whatever they do to it."""
    made = native(stored(Failing(), tmp_path_factory.mktemp("failing")))
    yield made
    made.close()


def predict(runtime: NativeRuntime, *values: float) -> list[float]:
    answer: list[float] = runtime.predict({"x0": np.array(values, dtype=np.float64)})["prediction"].tolist()
    return answer


def children() -> list[psutil.Process]:
    """The processes of models, and no other that a library has started in this one."""
    return [child for child in psutil.Process().children() if "salver.frameworks.host" in child.cmdline()]


def wait_until_back(runtime: NativeRuntime) -> None:
    """Return when it answers again; on a busy machine a start takes a while."""
    deadline = time.monotonic() + 60
    while True:
        try:
            assert predict(runtime, OK) == [0.5]
            return
        except Unavailable:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def until_gone(child: psutil.Process) -> None:
    """Wait for a process whose end its runtime is told of: of two who wait for it, only one is."""
    deadline = time.monotonic() + 10
    while child.is_running():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_answers(runtime: NativeRuntime) -> None:
    assert predict(runtime, OK, 50, 20) == [0.5, 50.5, 20.5]


def test_an_exception_is_told_by_its_kind_alone(runtime: NativeRuntime) -> None:
    for _ in range(2):
        with pytest.raises(PredictionFailed, match="ValueError") as failed:
            predict(runtime, RAISE)
        assert SECRET not in failed.value.message
    assert predict(runtime, OK) == [0.5]


@pytest.mark.parametrize("how", [DIE, EXIT])
def test_a_crash_is_a_clear_error_and_the_next_call_works(runtime: NativeRuntime, how: int) -> None:
    with pytest.raises(Unavailable) as crashed:
        predict(runtime, how)
    assert crashed.value.code == "model_crashed"
    wait_until_back(runtime)


def test_a_process_that_died_between_calls_is_started_again(runtime: NativeRuntime) -> None:
    assert predict(runtime, OK) == [0.5]
    (child,) = children()
    child.kill()
    until_gone(child)
    wait_until_back(runtime)


def test_close_leaves_no_process(tmp_path: Path) -> None:
    others = children()
    made = native(stored(Failing(), tmp_path))
    assert len(children()) == len(others) + 1
    made.close()
    assert children() == others


def test_signals_to_the_server_do_not_stop_its_models(runtime: NativeRuntime) -> None:
    assert predict(runtime, OK) == [0.5]
    (child,) = children()
    for number in (signal.SIGINT, signal.SIGTERM):  # a terminal and a supervisor send them to the whole group
        os.kill(child.pid, number)
    time.sleep(0.05)
    assert predict(runtime, OK) == [0.5]
    assert children() == [child]


def test_a_model_ends_with_its_server(runtime: NativeRuntime) -> None:
    assert predict(runtime, OK) == [0.5]
    (child,) = children()
    assert runtime._process
    runtime._process._wire.shutdown(socket.SHUT_RDWR)  # as the kernel closes it when the server is killed
    until_gone(child)
    wait_until_back(runtime)


@pytest.mark.parametrize(("model", "says"), [(Unreadable(), "RuntimeError"), (Unloadable(), "ended while"), ({}, "no predict")])
def test_a_model_that_does_not_load_says_so_and_leaves_nothing(tmp_path: Path, model: Any, says: str) -> None:
    others = children()
    with pytest.raises(Unavailable, match=says):
        native(stored(model, tmp_path))
    assert children() == others
    gc.collect()  # an open socket would be a warning, which is an error here


def test_no_model_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no model file"):
        native(tmp_path / "none.pkl")


# Supervision


def test_a_model_that_hangs_is_ended_and_is_back(tmp_path: Path) -> None:
    made = native(stored(Failing(), tmp_path), HostLimits(call_s=0.2))
    try:
        with pytest.raises(Unavailable, match="did not answer within") as hung:
            predict(made, SLOW)
        assert hung.value.code == "model_crashed"
        wait_until_back(made)
    finally:
        made.close()


def test_a_process_is_replaced_while_it_answers(tmp_path: Path) -> None:
    made = native(stored(Failing(), tmp_path), HostLimits(calls=3))
    try:
        before = made._process
        assert before
        deadline = time.monotonic() + 30
        while made._process is before and time.monotonic() < deadline:
            assert predict(made, OK) == [0.5]
        assert made._process is not before
        before.wait()
    finally:
        made.close()


def test_a_model_that_dies_of_everything_is_refused_at_once(runtime: NativeRuntime, tmp_path: Path) -> None:
    made = native(stored(Failing(), tmp_path))
    try:
        assert made._process
        command, made._command = made._command, ["/nowhere/python"]
        for _ in range(9):  # as it would after so many crashes in a row
            made._restarts.ended(time.monotonic())
        made._lost(made._process)
        time.sleep(0.2)
        started = time.perf_counter()
        with pytest.raises(Unavailable) as refused:
            predict(made, OK)
        assert time.perf_counter() - started < 0.1
        assert (refused.value.code, refused.value.retry_after_s > 10) == ("model_crashed", True)
        assert predict(runtime, OK) == [0.5]
        made._command = command
    finally:
        made.close()


def test_large_batches_leave_no_descriptor_behind(runtime: NativeRuntime) -> None:
    rows = np.random.default_rng(0).uniform(100, 200, 300_000)
    predict(runtime, OK)
    before = psutil.Process().num_fds()
    for _ in range(3):
        answer = runtime.predict({"x0": rows})["prediction"]
        assert not answer.flags.writeable
        np.testing.assert_array_equal(answer, rows + 0.5)
    del answer
    assert psutil.Process().num_fds() <= before


# Behind the engine


@pytest.fixture
def model(tmp_path: Path) -> Model:
    (tmp_path / "failing").mkdir()
    stored(Failing(), tmp_path / "failing")
    write_golden(tmp_path / "failing", Golden([[10.0]], {"prediction": [10.5]}, 0.0))
    write_manifest(
        tmp_path / "failing",
        Manifest(
            name="failing",
            signature=Signature((Column("x0"),), (Output("prediction"),)),
            framework=Framework("test", "1", "Failing"),
            runtime=RuntimeSpec("native", "model.pkl", "columns"),
            lowering=Lowering("", 1.0),
            files=describe_files(tmp_path / "failing"),
            created="2026-01-01T00:00:00Z",
            python="3.11",
        ),
    )
    return Model(Policy("trusted").admit(open_artifact(tmp_path / "failing")))


def asked(model: Model, *values: float) -> list[Noted]:
    """One request a value, in one batch."""

    async def ask() -> list[Noted]:
        lane = Lane(model, None)
        requests = [Noted([[float(value)]]) for value in values]
        await until_told(lane, *requests)
        await lane.close()
        return requests

    return asyncio.run(ask())


def test_only_the_request_that_crashes_the_model_fails(model: Model) -> None:
    first, guilty, last = asked(model, 10, DIE, 20)
    assert (first.answer, last.answer) == ([10.5], [20.5])
    assert guilty.error.code == "model_crashed"


def test_an_answer_of_another_length_is_nobodys(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.CRITICAL, "salver"):
        first, guilty, last = asked(model, 10, FEWER, 20)
    assert (first.answer, last.answer) == ([10.5], [20.5])
    assert isinstance(guilty.error, PredictionFailed)


def test_it_never_works_on_the_event_loop(model: Model) -> None:
    assert not model.is_short(1)

    async def ask() -> float:
        lane = Lane(model, None)
        request = Noted([[float(SLOW)]])
        lane.submit(request)
        started = time.perf_counter()
        await asyncio.sleep(0.01)
        took_s = time.perf_counter() - started
        assert not request.outcomes
        await lane.close()
        assert request.answer == [SLOW + 0.5]
        return took_s

    assert asyncio.run(ask()) < 0.3
