"""Which route asks what of its callers: every one is in the table, and one that is not is locked."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from starlette.routing import Route

from salver.door.key import Key, new_key
from salver.door.keys import Kept, Keys
from salver.door.ring import Ring
from salver.engine.engine import Engine
from salver.errors import Forbidden, NotFound, StoreError, Unauthenticated
from salver.registry.folder import FolderStore
from salver.server.access import ACCESS, Gate, Visit
from salver.server.app import make_app
from salver.server.entrance import Entrance
from salver.server.settings import Access, Settings
from salver.server.watch import KeyWatch


def gate(key: Key, **access: Any) -> Gate:
    ring = Ring()
    ring.hold([key], ever=True)
    return Gate(ring, None, Settings(access=Access(**access)), Engine(None))


def shown(text: str) -> list[tuple[bytes, bytes]]:
    return [(b"x-api-key", text.encode())]


def test_every_route_is_in_the_table_and_nothing_else() -> None:
    engine = Engine(None)
    app = make_app(engine, Entrance(engine), None)
    assert {route.path for route in app.routes if isinstance(route, Route)} == set(ACCESS)
    assert len(app.routes) == len([route for route in app.routes if isinstance(route, Route)])


def test_a_route_that_is_not_in_the_table_is_for_those_who_manage_everything() -> None:
    visit = Visit("POST", "/somewhere/new", {}, "127.0.0.1")
    for scopes, models in ((("predict", "label"), ()), (("manage",), ("iris",))):
        key, text = new_key("a", scopes, models=models)
        with pytest.raises(Forbidden):
            gate(key).enter(shown(text), visit)
    key, text = new_key("a", ("manage",))
    assert gate(key).enter(shown(text), visit) == key


@pytest.mark.parametrize("path", ["/metrics", "/docs", "/openapi.json"])
def test_what_is_read_is_open_or_locked_or_not_there_as_it_is_set(path: str) -> None:
    name = "metrics" if path == "/metrics" else "docs"
    visit, (key, text) = Visit("GET", path, {}, "127.0.0.1"), new_key("a", ("label",))
    assert gate(key, **{name: "open"}).enter([], visit) is None
    assert gate(key).enter(shown(text), visit) == key
    with pytest.raises(Unauthenticated):
        gate(key).enter([], visit)
    with pytest.raises(NotFound):
        gate(key, **{name: "off"}).enter(shown(text), visit)


def test_managing_can_be_switched_off() -> None:
    key, text = new_key("a", ("manage",))
    with pytest.raises(NotFound):
        gate(key, manage="off").enter(shown(text), Visit("POST", "/somewhere/new", {}, "127.0.0.1"))


class _Unreachable(Keys):
    """Keys of a store that can be reached once."""

    def changed(self) -> list[Kept] | None:
        kept = super().changed()
        if kept is None:
            raise StoreError("the store is away")
        return kept


def test_while_the_store_is_away_known_keys_hold(tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    keys, ring = _Unreachable(FolderStore(tmp_path)), Ring()
    key, text = new_key("a", ("predict",))
    keys.add(key)
    watch = KeyWatch(keys, ring, lambda: None)
    watch.read()

    async def follow() -> None:
        following = asyncio.ensure_future(watch.follow(0.01))
        while "can't be read" not in caplog.text:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        following.cancel()

    with caplog.at_level(logging.ERROR):
        asyncio.run(asyncio.wait_for(follow(), 10))
    assert caplog.text.count("can't be read") == 1
    assert ring.enter([text], "predict", "iris") == key
