"""Versions that change while they are served: what is good takes over, what is broken never takes a request."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from salver.artifact.manifest import FILENAME
from salver.registry.registry import Registry
from salver.types.signature import Column
from tests.echo import echo_folder
from tests.registry.artifacts import linear_artifact
from tests.serving import Served, serving

PATIENCE_S = 60.0
LOOK = ("--watch", "0.2")


def until(what: Callable[[], object], patience_s: float = PATIENCE_S) -> Any:
    """What `what` says when it is true, asked again and again."""
    deadline_s = time.monotonic() + patience_s
    while not (said := what()):
        assert time.monotonic() < deadline_s, "it did not come about"
        time.sleep(0.02)
    return said


def answer(server: Served, model: str) -> Any:
    """What a model answers one row."""
    got = httpx.post(f"{server.url}/models/{model}/predict", json={"features": [1.0]})
    assert got.status_code == 200, got.text
    return got.json()


def states(server: Served, model: str) -> dict[int, dict[str, Any]]:
    """Where each version of a model is."""
    return {one["version"]: one for one in httpx.get(f"{server.url}/models/{model}").json()["versions"]}


class Broken(NamedTuple):
    """How the second version of a model is made, what is then done to its files, and what is said of it."""

    said: str
    made: dict[str, Any] = {}  # noqa: RUF012
    harm: Callable[[Path], object] = lambda folder: None


def _rewrite(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


BROKEN = {
    "missing_file": Broken("is missing", harm=lambda folder: (folder / "echo.json").unlink()),
    "wrong_digest": Broken("its digest differs", harm=lambda folder: _flip(folder / "echo.json")),
    "torn_manifest": Broken("can't be read", harm=_rewrite(FILENAME, '{"format": 1, "name":')),
    "later_format": Broken("upgrade it", harm=_rewrite(FILENAME, '{"format": 99}')),
    "file_too_many": Broken("does not list", harm=_rewrite("more.py", "print()")),
    "golden_row": Broken("golden rows get another", {"answers": [2.0]}),
    "no_golden_row": Broken("no golden rows", {"rows": []}),
    "crash": Broken("ended while being woken (SIGSEGV)", {"on_load": "crash"}),
    "hang": Broken("hung while being woken", {"on_load": "hang"}),
    "memory": Broken("more memory", {"on_load": "memory"}),
    "other_columns": Broken("does not know columns that are sent: x0", {"columns": (Column("y"),)}),
    "raises": Broken("raised ValueError on rows that were asked lately", {"fail_above": 0.5, "rows": [[0.0]]}),
}


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of a model for each kind of broken version: they had a good one, and were promoted to the broken one."""
    folder = tmp_path_factory.mktemp("broken")
    registry = Registry(folder / "store")
    for kind in BROKEN:
        registry.publish(echo_folder(folder / "good" / kind))
    environment = {"SALVER_TRIAL_TIMEOUT_S": "8"}
    with serving([], store=folder / "store", arguments=LOOK, environment=environment) as server:
        for kind, broken in BROKEN.items():
            answer(server, kind)
            registry.publish(echo_folder(folder / "bad" / kind, **broken.made))
            broken.harm(folder / "store" / "models" / kind / "versions" / "2")
            # As somebody whose tools do not look, or whose files were harmed later.
            registry.edit(kind, lambda route: route.promoted("champion", 2), why="a mistake")
        asked = 0
        while any(states(server, kind).get(2, {}).get("state") != "refused" for kind in BROKEN):
            for kind in BROKEN:
                assert answer(server, kind)["version"] == 1
                asked += 1
            assert asked < 100_000
            time.sleep(0.02)
        yield server


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_version_takes_no_request_and_says_why(refusing: Served, kind: str) -> None:
    assert BROKEN[kind].said in states(refusing, kind)[2]["why"]
    assert answer(refusing, kind)["version"] == 1
    assert httpx.post(f"{refusing.url}/models/{kind}@2/predict", json={"features": [1.0]}).status_code == 404
    said = [line for line in refusing.output.read_text().splitlines() if f" {kind}@2 is refused" in line]
    assert len(said) == 1, "loudly, and once: it is not tried again"
    assert BROKEN[kind].said in said[0]


def test_broken_versions_leave_the_server_ready_and_are_counted(refusing: Served) -> None:
    assert httpx.get(f"{refusing.url}/health/ready").status_code == 200
    metrics = httpx.get(f"{refusing.url}/metrics").text
    assert all(f'salver_versions_refused_total{{model="{kind}"}} 1.0' in metrics for kind in BROKEN)
    assert refusing.process.poll() is None


def test_what_was_refused_is_tried_again_when_something_changes(refusing: Served) -> None:
    registry = Registry(refusing.store)
    shutil.copy(
        refusing.store / "models" / "crash" / "versions" / "1" / "echo.json",
        refusing.store / "models" / "missing_file" / "versions" / "2" / "echo.json",
    )
    until(lambda: states(refusing, "missing_file")[2]["state"] != "refused" or None)
    registry.rollback("wrong_digest")
    until(lambda: 2 not in states(refusing, "wrong_digest"))
    registry.promote("wrong_digest@2")
    until(lambda: refusing.output.read_text().count("wrong_digest@2 is refused") == 2)
    assert answer(refusing, "wrong_digest")["version"] == 1


def test_versions_aliases_and_the_default_are_served_at_once_and_followed(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "store")
    for seed in range(4):
        registry.publish(linear_artifact(tmp_path / f"made{seed}", seed=seed))
    registry.promote("iris@2", "stable")
    file = echo_folder(tmp_path / "file")
    with serving(["iris", "iris@4", "iris@stable", file], store=tmp_path / "store", arguments=LOOK) as server:

        def version(model: str) -> int:
            got = httpx.post(f"{server.url}/models/{model}/predict", json={"features": [1, 2, 3, 4]})
            return got.json().get("version", got.status_code)

        assert [version(name) for name in ("iris", "iris@4", "iris@stable", "iris@champion")] == [1, 4, 2, 1]
        assert version("iris@3") == 404
        registry.promote("iris@3", by="ann", why="better")
        until(lambda: version("iris") == 3)
        assert [version(name) for name in ("iris@4", "iris@stable", "iris@1")] == [4, 2, 404]
        registry.promote("iris@4", "stable")
        until(lambda: version("iris@stable") == 4)
        until(lambda: [*states(server, "iris")] == [3, 4])
        registry.rollback("iris")
        until(lambda: version("iris") == 1)
        assert "ann: better" in server.output.read_text()


def test_a_server_of_the_whole_store_serves_what_is_published_later(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "store")
    registry.publish(echo_folder(tmp_path / "first"))
    with serving([], store=tmp_path / "store", arguments=LOOK) as server:
        assert answer(server, "first")["version"] == 1
        registry.publish(echo_folder(tmp_path / "bad", on_load="crash"))
        registry.publish(echo_folder(tmp_path / "second"))
        until(lambda: httpx.get(f"{server.url}/models/second").status_code == 200)
        assert httpx.get(f"{server.url}/health/ready").status_code == 200, "what never answered is not waited for"
