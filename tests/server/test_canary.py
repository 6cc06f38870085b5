"""Shares of the requests: as large as they should be, and the same caller always on the same side."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from salver.engine.routing import point_of
from salver.log.reader import read_records
from salver.registry.registry import Registry
from salver.types.signature import Column
from tests.echo import echo_folder
from tests.server.test_live import LOOK, until
from tests.server.wire import Wire, post
from tests.serving import Served, serving

SHARES = {"chance": "", "header": "header:X-User-Id", "field": "field:user", "key": "key"}
PERCENT = 20.0
ASKED = 1500
COLUMNS = (Column("x"), Column("user"))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Served]]:
    """Two servers of one store, whose models have a canary each, chosen by other things."""
    folder = tmp_path_factory.mktemp("canaries")
    registry = Registry(folder / "store")
    for name, sticky in SHARES.items():
        for number in (1, 2):
            registry.publish(echo_folder(folder / str(number) / name, columns=COLUMNS))
        registry.canary(f"{name}@2", PERCENT, sticky)
    arguments = (*LOOK, "--log")
    with (
        serving([], store=folder / "store", arguments=(*arguments, str(folder / "log1"))) as first,
        serving(list(SHARES), store=folder / "store", arguments=(*arguments, str(folder / "log2"))) as second,
    ):
        for server in (first, second):
            for name in SHARES:
                until(
                    lambda server=server, name=name: routing(server, name)["canaries"] == [{"version": 2, "percent": PERCENT}]
                )
        yield [first, second]


def routing(server: Served, name: str) -> Any:
    return httpx.get(f"{server.url}/models/{name}").json()["routing"]


def body_of(name: str, user: int) -> bytes:
    return json.dumps({"features": [1.5, user]} | ({"key": f"user-{user}"} if name == "key" else {})).encode()


def versions(server: Served, name: str, users: list[int]) -> list[int]:
    """Who answered each user, over one connection by the hot path."""
    found: list[int] = []
    with Wire(server.url) as wire:
        for user in users:
            got = wire.ask(post(f"/models/{name}/predict", body_of(name, user), f"x-user-id: user-{user}"))
            assert got.status == 200, got.body
            found.append(json.loads(got.body)["version"])
    return found


def wanted(name: str, user: int) -> int:
    value = str(user) if name == "field" else f"user-{user}"
    return 2 if point_of(name, value) < PERCENT else 1


def test_a_share_by_chance_is_as_large_as_it_should_be(servers: list[Served]) -> None:
    for server in servers:
        got = Counter(versions(server, "chance", [1] * ASKED))
        expected, spread = ASKED * PERCENT / 100, (ASKED * PERCENT / 100 * (1 - PERCENT / 100)) ** 0.5
        assert abs(got[2] - expected) < 4.5 * spread, got
        assert got[1] + got[2] == ASKED


@pytest.mark.parametrize("name", [name for name, sticky in SHARES.items() if sticky])
def test_a_caller_stays_on_its_side_whoever_is_asked_and_how(servers: list[Served], name: str) -> None:
    users = [*range(300)] * 2
    expected = [wanted(name, user) for user in users]
    assert 30 < expected[:300].count(2) < 90
    for server in servers:
        assert versions(server, name, users) == expected
    with httpx.Client() as client:
        for user in range(40):  # the plain path, and the Open Inference Protocol
            headers = {"x-user-id": f"user-{user}", "server-timing": "1"}
            plain = client.post(f"{servers[0].url}/models/{name}/predict", content=body_of(name, user), headers=headers)
            assert plain.json()["version"] == wanted(name, user)
            if name != "key":
                tensors = [{"name": n, "shape": [1], "datatype": "FP64", "data": [v]} for n, v in (("x", 1.5), ("user", user))]
                v2 = client.post(f"{servers[1].url}/v2/models/{name}/infer", json={"inputs": tensors}, headers=headers)
                assert v2.json()["model_version"] == str(wanted(name, user))


def test_who_gives_nothing_to_stick_by_is_answered_by_the_default(servers: list[Served]) -> None:
    for name in ("header", "key"):
        got = [httpx.post(f"{servers[0].url}/models/{name}/predict", json={"features": [1.0, 2.0]}) for _ in range(30)]
        assert {answer.json()["version"] for answer in got} == {1}


def test_of_several_rows_all_must_be_the_canarys(servers: list[Served]) -> None:
    chosen = [user for user in range(100) if wanted("field", user) == 2]
    for users, version in ((chosen[:3], 2), ([*chosen[:3], next(u for u in range(100) if u not in chosen)], 1)):
        asked = {"instances": [[1.0, user] for user in users]}
        assert httpx.post(f"{servers[0].url}/models/field/predict", json=asked).json()["version"] == version


def test_a_version_that_is_named_is_asked_whatever_the_share(servers: list[Served]) -> None:
    for reference, version in (("chance@2", 2), ("chance@1", 1), ("chance@champion", 1)):
        got = Counter(
            httpx.post(f"{servers[0].url}/models/{reference}/predict", json={"features": [1.0, 2.0]}).json().get("version")
            for _ in range(20)
        )
        assert got == {version: 20}


def test_the_log_and_the_metrics_say_by_which_route_it_came(servers: list[Served]) -> None:
    records = [record for record in read_records(servers[1].store.parent / "log2") if record.model == "header"]
    assert {(record.version, record.route) for record in records} == {(1, "live"), (2, "canary")}
    metrics = httpx.get(f"{servers[1].url}/metrics").text
    answered = sum(record.route == "canary" for record in records)
    assert f'salver_predictions_total{{model="header",route="canary",version="2"}} {answered}.0' in metrics


def test_a_canary_ends_where_it_began(servers: list[Served]) -> None:
    registry = Registry(servers[0].store)
    registry.canary("header@2", 60, "header:X-User-Id", why="it does well")
    for server in servers:
        until(lambda server=server: routing(server, "header")["canaries"][0]["percent"] == 60)
        before, after = [wanted("header", user) for user in range(300)], versions(server, "header", [*range(300)])
        assert all(now == 2 for was, now in zip(before, after, strict=True) if was == 2), "nobody is taken back"
        assert 120 < after.count(2) < 240
    registry.promote("header@2", why="it did well")
    for server in servers:
        until(lambda server=server: routing(server, "header")["default"] == 2)
        assert {*versions(server, "header", [*range(50)])} == {2}
        assert routing(server, "header")["canaries"] == []
    registry.rollback("header")
    for server in servers:
        until(lambda server=server: routing(server, "header")["default"] == 1)
        assert {*versions(server, "header", [*range(50)])} == {1}


def test_routes_are_changed_over_http_and_who_did_it_is_kept(servers: list[Served]) -> None:
    url = f"{servers[0].url}/models"
    changed = httpx.post(f"{url}/key@2/promote", json={"why": "better", "by": "ann"})
    assert (changed.status_code, changed.json()["route"]["aliases"]) == (200, {"champion": 2})
    assert httpx.post(f"{url}/key@2/canary", json={}).json()["code"] == "invalid_body"
    assert httpx.post(f"{url}/key@9/promote", json={}).status_code == 404
    assert httpx.post(f"{url}/key/rollback", json={"why": "complaints", "by": "bob"}).status_code == 200
    assert httpx.post(f"{url}/key@2/shadow", json={}).json()["route"]["shadows"] == ["2"]
    assert httpx.delete(f"{url}/key/shadow").json()["route"]["shadows"] == []
    assert httpx.post(f"{url}/key@2/canary", json={"percent": 7}).json()["route"]["canaries"][0]["percent"] == 7
    assert httpx.delete(f"{url}/key@2/canary").json()["route"]["canaries"] == []
    history = httpx.get(f"{url}/key/route").json()["history"]
    assert [(route["by"], route["why"]) for route in history[2:4]] == [("ann", "better"), ("bob", "complaints")]
    assert httpx.post(f"{url}/nobody@2/promote", json={}).status_code == 404


def test_four_workers_of_two_servers_send_a_caller_to_the_same_side(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "store")
    for number in (1, 2):
        registry.publish(echo_folder(tmp_path / str(number) / "header", columns=COLUMNS))
    registry.canary("header@2", PERCENT, "header:x-user-id")
    workers = (*LOOK, "--workers", "4", "--log")
    with (
        serving([], store=tmp_path / "store", arguments=(*workers, str(tmp_path / "log1"))) as first,
        serving([], store=tmp_path / "store", arguments=(*workers, str(tmp_path / "log2"))) as second,
    ):
        for server in (first, second):  # each connection may lead to another worker
            until(lambda server=server: all(routing(server, "header")["canaries"] for _ in range(30)))
            got = [versions(server, "header", [user])[0] for user in [*range(100)] * 2]
            assert got == [wanted("header", user) for user in [*range(100)] * 2]
