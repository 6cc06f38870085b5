"""A model in a process of its own: whatever happens there, the server gets an answer or a clear error, and goes on."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import pickle
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from salver.artifact.artifact import describe_files, open_artifact, write_golden, write_manifest
from salver.artifact.manifest import Golden, Lowering, Manifest, RuntimeSpec
from salver.engine.lane import Lane
from salver.engine.model import Model
from salver.errors import PredictionFailed, Unavailable
from salver.runtimes.native import NativeRuntime
from salver.types.framework import Framework
from salver.types.signature import Column, Output, Signature
from tests.engine.noted import Noted, until_told
from tests.runtimes.failing import DIE, EXIT, FEWER, OK, RAISE, SECRET, SLOW, Failing, Unloadable, Unreadable


def stored(model: Any, folder: Path) -> Path:
    file = folder / "model.pkl"
    file.write_bytes(pickle.dumps(model))
    return file


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NativeRuntime]:
    """One for all tests: it goes on after whatever they do to it."""
    made = NativeRuntime(stored(Failing(), tmp_path_factory.mktemp("failing")))
    yield made
    made.close()


def predict(runtime: NativeRuntime, *values: float) -> list[float]:
    answer: list[float] = runtime.predict({"x0": np.array(values, dtype=np.float64)})["prediction"].tolist()
    return answer


def children() -> list[psutil.Process]:
    """The processes of models, and no other that a library has started in this one."""
    return [child for child in psutil.Process().children() if "salver.frameworks.host" in child.cmdline()]


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
    assert predict(runtime, OK) == [0.5]


def test_a_process_that_died_between_calls_is_started_again(runtime: NativeRuntime) -> None:
    assert predict(runtime, OK) == [0.5]
    (child,) = children()
    child.kill()
    child.wait(10)
    assert predict(runtime, OK) == [0.5]


def test_close_leaves_no_process(tmp_path: Path) -> None:
    others = children()
    made = NativeRuntime(stored(Failing(), tmp_path))
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
    runtime._wire.close()  # as the kernel does when the server is killed
    child.wait(10)


@pytest.mark.parametrize(("model", "says"), [(Unreadable(), "RuntimeError"), (Unloadable(), "ended while"), ({}, "no predict")])
def test_a_model_that_does_not_load_says_so_and_leaves_nothing(tmp_path: Path, model: Any, says: str) -> None:
    others = children()
    with pytest.raises(Unavailable, match=says):
        NativeRuntime(stored(model, tmp_path))
    assert children() == others
    gc.collect()  # an open socket would be a warning, which is an error here


def test_no_model_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no model file"):
        NativeRuntime(tmp_path / "none.pkl")


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
    return Model(open_artifact(tmp_path / "failing"))


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
