"""Ten processes publish and route at once, and lose nothing; those killed on the way leave nothing half done."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from salver.registry.registry import Registry
from tests.registry.artifacts import linear_artifact

ROOT = Path(__file__).resolve().parents[2]
PUBLISHERS = 10
TURNS = 3


def start(url: str, folder: Path, turns: int, who: str, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.registry.publisher", url, str(folder), str(turns), who, *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ})


def steps(said: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.splitlines()]


def test_ten_publishers_at_once_lose_nothing(url: str, tmp_path: Path) -> None:
    folders = [linear_artifact(tmp_path / f"made{seed}", seed=seed) for seed in range(PUBLISHERS)]
    processes = [start(url, folder, TURNS, f"p{at}") for at, folder in enumerate(folders)]
    done: list[tuple[str, dict[str, Any]]] = []
    for at, process in enumerate(processes):
        said, complained = process.communicate(timeout=300)
        assert process.returncode == 0, complained
        done += [(f"p{at}", step) for step in steps(said)]

    registry = Registry(url)
    published = sorted(step["published"] for _, step in done if "published" in step)
    assert published == list(range(1, PUBLISHERS * TURNS + 1)) == registry.versions("iris")

    route = registry.route("iris")
    aliases = {step["alias"]: step["promoted"] for _, step in done if "alias" in step}
    assert len(aliases) == PUBLISHERS * TURNS
    assert route.aliases.items() >= aliases.items()
    assert route.tags == {step["tagged"]: {"made_by": who} for who, step in done if "tagged" in step}

    history = registry.history("iris")  # the first champion, and each edit that somebody was told of, at its number
    numbers = {step["number"]: who for who, step in done if "number" in step}
    assert [past.number for past in history] == list(range(1, 2 * PUBLISHERS * TURNS + 2))
    assert all(history[number - 1].by == who for number, who in numbers.items())
    assert [check.problem for check in registry.verify("iris@champion")] == [""]


def killed_while_publishing(url: str, folder: Path, after_s: float) -> list[dict[str, Any]]:
    """What a publisher had done when it was killed."""
    process = start(url, folder, 1000, "victim")
    assert process.stdout
    first = process.stdout.readline()  # it is at work now
    time.sleep(after_s)
    process.kill()
    rest, _ = process.communicate()
    complete = (first + rest).rpartition("\n")[0]
    return steps(complete)


@pytest.mark.parametrize("rounds", [4, pytest.param(100, marks=pytest.mark.soak)])
def test_a_publisher_killed_at_any_moment_leaves_no_half_version(url: str, tmp_path: Path, rounds: int) -> None:
    registry, random_s = Registry(url), random.Random(7)
    folder = linear_artifact(tmp_path / "made")
    told: set[int] = set()
    for _ in range(rounds):
        done = killed_while_publishing(url, folder, random_s.uniform(0, 0.15))
        told |= {step["published"] for step in done if "published" in step}
        versions = registry.versions("iris")
        assert told <= set(versions), "a version that somebody was told of is gone"
        assert [check.problem for check in registry.verify("iris") if check.problem] == []
        aliases = {step["alias"]: step["promoted"] for step in done if "alias" in step}
        assert registry.route("iris").aliases.items() >= aliases.items()

    left = registry.unfinished("iris", timedelta())
    assert registry.publish(folder) == max([*registry.versions("iris"), *left]), "what was left is in somebody's way"
    assert registry.sweep("iris", timedelta()) == left
    assert registry.unfinished("iris", timedelta()) == []
    assert told <= set(registry.versions("iris"))
    assert [check.problem for check in registry.verify("iris") if check.problem] == []


@pytest.mark.parametrize("url", ["folder"], indirect=True)
def test_a_publisher_killed_before_each_of_its_writes_leaves_no_half_version(url: str, tmp_path: Path) -> None:
    registry, folder = Registry(url), linear_artifact(tmp_path / "made")
    writes = 0
    while True:
        writes += 1
        before = registry.versions("iris")
        said, _ = (process := start(url, folder, 1, "victim", str(writes))).communicate(timeout=60)
        assert [check.problem for check in registry.verify() if check.problem] == []
        if process.returncode == 0:
            break
        told = [step["published"] for step in steps(said) if "published" in step]
        assert set(told) <= set(registry.versions("iris")) and len(registry.versions("iris")) <= len(before) + 1
    assert writes > 6  # the claim, the files, the manifest, the route, the alias, the tag
    left = registry.unfinished("iris", timedelta())
    assert len(left) >= 3
    assert registry.sweep("iris", timedelta()) == left
    assert {name.split("/")[3] for name in registry.store.names("models/iris/versions")} == set(
        map(str, registry.versions("iris"))
    )
