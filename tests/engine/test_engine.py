"""Which lane answers for a reference, and when everything is ready."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from salver.artifact.artifact import Artifact, open_artifact
from salver.engine.engine import Engine
from salver.engine.routing import Routing
from salver.errors import ArtifactError, NotFound, SalverError, Unavailable
from salver.types.reference import Reference
from tests.echo import echo_folder


def artifact(folder: Path, name: str) -> Artifact:
    return open_artifact(echo_folder(folder / name))


def refusal(engine: Engine, text: str | None) -> SalverError:
    with pytest.raises(SalverError) as refused:
        engine.find(None if text is None else Reference.parse(text))
    return refused.value


def test_a_model_is_found_by_name_and_version(tmp_path: Path) -> None:
    async def ask() -> None:
        engine = Engine(None)
        stored = artifact(tmp_path, "a")
        first, third = await engine.load(stored, 1), await engine.load(stored, 3)
        assert engine.find(None) is engine.find(Reference("a")) is third
        assert engine.find(Reference("a", version=1)) is first
        assert refusal(engine, "a@2").code == refusal(engine, "a@champion").code == "unknown_version"
        assert refusal(engine, "b").code == "unknown_model"
        await engine.close()

    asyncio.run(ask())


def test_an_alias_is_the_version_that_the_route_says(tmp_path: Path) -> None:
    async def ask() -> None:
        engine = Engine(None)
        stored = artifact(tmp_path, "a")
        first, third = await engine.load(stored, 1), await engine.load(stored, 3)
        engine.route("a", Routing(1, {"champion": 1, "challenger": 3, "old": 2}))
        assert engine.find(None) is engine.find(Reference("a")) is engine.find(Reference("a", alias="champion")) is first
        assert engine.find(Reference("a", alias="challenger")) is third
        assert refusal(engine, "a@old").code == "unknown_version", "it is known, but not served here"
        engine.route("a", Routing(3, {"champion": 3}))
        assert engine.find(Reference("a")) is third
        assert refusal(engine, "a@challenger").code == "unknown_version"
        engine.route("a", Routing(1))
        assert engine.find(Reference("a")) is first
        await engine.close()

    asyncio.run(ask())


def test_of_two_versions_both_are_waited_for(tmp_path: Path) -> None:
    async def ask() -> None:
        engine = Engine(None)
        engine.expect("a")
        engine.expect("a")
        await engine.load(artifact(tmp_path, "a"), 1)
        assert not engine.ready
        assert refusal(engine, "a@2").code == "loading"
        await engine.load(artifact(tmp_path / "again", "a"), 2)
        assert engine.ready
        await engine.close()

    asyncio.run(ask())


def test_of_several_models_one_must_be_named(tmp_path: Path) -> None:
    async def ask() -> None:
        engine = Engine(None)
        lanes = [await engine.load(artifact(tmp_path, name)) for name in "ab"]
        assert refusal(engine, None).code == "model_not_named"
        assert [engine.find(Reference(name)) for name in "ab"] == lanes
        await engine.close()

    asyncio.run(ask())


def test_it_is_ready_when_all_that_was_expected_has_answered(tmp_path: Path) -> None:
    async def ask() -> None:
        engine = Engine(None)
        assert not engine.ready, "an engine without a model is not ready"
        for name in "ab":
            engine.expect(name)
        await engine.load(artifact(tmp_path, "a"))
        assert not engine.ready
        waiting = refusal(engine, "b")
        assert isinstance(waiting, Unavailable)
        assert waiting.code == "loading"
        await engine.load(artifact(tmp_path, "b"))
        assert engine.ready
        await engine.close()
        assert not engine.ready

    asyncio.run(ask())


def test_a_model_that_answers_its_golden_rows_otherwise_is_not_served(tmp_path: Path) -> None:
    async def ask() -> None:
        engine = Engine(None)
        engine.expect("a")
        stored = artifact(tmp_path, "a")
        stored.golden.outputs["prediction"][0] = 2.0
        with pytest.raises(ArtifactError, match="golden rows"):
            await engine.load(stored)
        assert not engine.ready
        assert isinstance(refusal(engine, "a"), NotFound)
        await engine.close()

    asyncio.run(ask())


def test_whoever_remembers_what_was_found_is_told_of_changes(tmp_path: Path) -> None:
    async def ask() -> int:
        engine, told = Engine(None), []
        engine.on_change.append(lambda: told.append(1))
        await engine.load(artifact(tmp_path, "a"))
        assert len(told) == 1
        await engine.close()
        return len(told)

    assert asyncio.run(ask()) == 2
