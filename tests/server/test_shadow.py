"""Versions that are asked too: compared, logged, and never noticed by those who ask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from salver.log.reader import read_records
from salver.registry.registry import Registry
from tests.echo import echo_folder
from tests.registry.artifacts import linear_artifact
from tests.server.test_live import LOOK, until
from tests.serving import Served, serving

KINDS: dict[str, dict[str, Any]] = {
    "same": {},
    "raises": {"fail_above": 3.0},
    "hangs": {},
    "crashes": {"on_load": "crash"},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of models whose second versions are shadows of several kinds."""
    folder = tmp_path_factory.mktemp("shadows")
    registry = Registry(folder / "store")
    for kind, made in KINDS.items():
        registry.publish(echo_folder(folder / "1" / kind))
        registry.publish(echo_folder(folder / "2" / kind, **made))
        registry.shadow(f"{kind}@2")
    for seed in (1, 2):
        registry.publish(linear_artifact(folder / f"iris{seed}", seed=seed))
    environment = {"SALVER_CALL_TIMEOUT_S": "6"}
    with serving([], store=folder / "store", arguments=LOOK, environment=environment) as started:
        yield started


def shadow(server: Served, name: str) -> Any:
    (found,) = httpx.get(f"{server.url}/models/{name}").json()["shadows"]
    return found


def ask(server: Served, name: str, values: list[float]) -> None:
    with httpx.Client() as client:
        for value in values:
            got = client.post(f"{server.url}/models/{name}/predict", json={"features": [value], "key": f"k{value:g}"})
            assert (got.status_code, got.json()["version"], got.json()["prediction"]) == (200, 1, value)


def test_a_shadow_answers_the_same_rows_for_the_log_alone(server: Served) -> None:
    until(lambda: shadow(server, "same")["state"] == "ready")
    values = [float(i) for i in range(50)]
    ask(server, "same", values)
    until(lambda: shadow(server, "same")["rows"] == 50)
    assert shadow(server, "same") | {"difference_mean": 0} == {
        "version": 2, "state": "ready", "rows": 50, "equal": 50, "different": 0, "failed": 0,
        "difference_sum": 0.0, "difference_max": 0.0, "difference_mean": 0, "dropped": 0,
    }  # fmt: skip
    records = [record for record in read_records(server.store / "log") if record.model == "same"]
    for route, version in (("live", 1), ("shadow", 2)):
        logged = [record for record in records if (record.route, record.version) == (route, version)]
        assert [(record.inputs["x0"], record.key) for record in logged] == [(value, f"k{value:g}") for value in values]
    metrics = httpx.get(f"{server.url}/metrics").text
    assert 'salver_shadow_rows_total{model="same",outcome="equal",version="2"} 50.0' in metrics


def test_a_shadow_that_raises_is_counted(server: Served) -> None:
    until(lambda: shadow(server, "raises")["state"] == "ready")
    ask(server, "raises", [1.0, 2.0, 4.0, 5.0])
    until(lambda: shadow(server, "raises")["rows"] == 4)
    assert (shadow(server, "raises")["equal"], shadow(server, "raises")["failed"]) == (2, 2)


def test_a_shadow_that_hangs_or_crashes_is_not_noticed(server: Served) -> None:
    until(lambda: shadow(server, "crashes")["state"] == "refused")
    ask(server, "crashes", [float(i) for i in range(20)])
    assert shadow(server, "crashes")["dropped"] == 20
    until(lambda: shadow(server, "hangs")["state"] == "ready")
    processes = [one for one in psutil.Process(server.process.pid).children() if "salver.engine.shadowing" in one.cmdline()]
    for process in processes:
        process.suspend()
    ask(server, "hangs", [float(i) for i in range(200)])
    until(lambda: shadow(server, "hangs")["state"] == "restarting")
    assert shadow(server, "hangs")["why"] == "it hangs"
    for process in processes:
        if process.is_running():
            process.resume()
    ask(server, "hangs", [1.0])
    assert httpx.get(f"{server.url}/health/ready").status_code == 200


def test_differences_are_counted_and_a_shadow_can_be_ended(server: Served) -> None:
    registry = Registry(server.store)
    registry.shadow("iris@2", why="is it as good?")
    until(lambda: httpx.get(f"{server.url}/models/iris").json()["shadows"])
    until(lambda: shadow(server, "iris")["state"] == "ready")
    rows = [[i / 10, 1.0, -i / 7, 0.3] for i in range(-20, 20)]
    httpx.post(f"{server.url}/models/iris/predict", json={"instances": rows})
    until(lambda: shadow(server, "iris")["rows"] == 40)
    counted = shadow(server, "iris")
    assert counted["equal"] + counted["different"] == 40
    assert counted["different"] > 0
    assert 0 < counted["difference_mean"] <= counted["difference_max"] <= 1
    registry.end_shadow("iris")
    until(lambda: httpx.get(f"{server.url}/models/iris").json()["shadows"] == [])
