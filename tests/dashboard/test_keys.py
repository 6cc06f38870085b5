"""Who may see the dashboard and change things from it: keys in cookies, scopes, forms of other sites, the audit log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import salver
from salver.door.key import new_key
from salver.door.keys import Keys
from salver.registry.folder import FolderStore
from tests.dashboard.looking import until
from tests.serving import Served, serving


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("keys")
    X, y = load_iris(return_X_y=True)
    for name in ("iris", "iris", "other"):
        salver.save(LogisticRegression(max_iter=500).fit(X, y), name, sample=X, store=store, progress=lambda _: None)
    return store


@pytest.fixture(scope="module")
def keys(store: Path) -> dict[str, str]:
    """Keys by what they are for."""
    made: dict[str, str] = {}
    kept = Keys(FolderStore(store))
    for name, scopes, models in (
        ("looks", ("read",), ()),
        ("manages", ("read", "predict", "manage"), ()),
        ("one", ("read", "predict", "manage"), ("iris",)),
        ("predicts", ("predict",), ()),
    ):
        key, made[name] = new_key(name, scopes, models=models)  # type: ignore[arg-type]
        kept.add(key)
    return made


@pytest.fixture(scope="module")
def served(store: Path, keys: dict[str, str]) -> Iterator[Served]:
    with serving([], store=store, arguments=["--no-monitor", "--watch", "0.2"]) as served:
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url) as made:
        yield made


def sign_in(client: httpx.Client, key: str) -> None:
    answer = client.post("/ui/login", data={"key": key, "next": "/ui/alarms", "token": token(client, "/ui/login")})
    assert answer.status_code == 303 and answer.headers["location"] == "/ui/alarms"


def token(client: httpx.Client, page: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', client.get(page).raise_for_status().text)
    assert found
    return found[1]


def test_without_a_key_one_is_asked_for_and_the_way_back_is_kept_inside(served: Served) -> None:
    answer = httpx.get(f"{served.url}/ui/models/iris?version=1")
    assert answer.status_code == 303 and answer.headers["location"] == "/ui/login?next=/ui/models/iris%3Fversion%3D1"
    for target in ("https://elsewhere.example/ui", "//elsewhere.example", "/ui/../predict\\", "/elsewhere"):
        assert 'name="next" value="/ui"' in httpx.get(f"{served.url}/ui/login", params={"next": target}).text
    assert httpx.post(f"{served.url}/ui/models/iris/try").status_code == 401


def test_the_cookie_is_for_nobody_else(client: httpx.Client, keys: dict[str, str]) -> None:
    form = {"key": keys["looks"], "next": "/ui", "token": token(client, "/ui/login")}
    said = client.post("/ui/login", data=form).headers.get_list("set-cookie")
    (cookie,) = [one for one in said if one.startswith("salver-key=")]
    assert {"HttpOnly", "SameSite=strict", "Path=/ui"} <= set(cookie.split("; "))
    assert client.get("/ui").status_code == 200
    assert client.get("/models").status_code == 401, "the API takes no cookies"
    client.post("/ui/logout")
    assert client.get("/ui").status_code == 303


@pytest.mark.parametrize(("name", "status"), [("predicts", 403), ("", 401)])
def test_a_key_that_does_not_open_it_is_told_so(
    served: Served, client: httpx.Client, keys: dict[str, str], name: str, status: int
) -> None:
    key = keys.get(name, "salver_000000000000_" + "x" * 43)
    answer = client.post("/ui/login", data={"key": key, "next": "/ui", "token": token(client, "/ui/login")})
    assert answer.status_code == status and "salver-key" not in client.cookies
    assert key not in answer.text
    assert httpx.get(f"{served.url}/ui", headers={"x-api-key": keys["predicts"]}).status_code == 403


def test_who_only_looks_can_do_nothing(client: httpx.Client, keys: dict[str, str]) -> None:
    sign_in(client, keys["looks"])
    text = client.get("/ui/models/iris").text
    assert "Roll back" not in text and "Try it" not in text
    assert client.get("/ui/models/iris/do/promote").status_code == 403
    assert client.post("/ui/models/iris/do/promote", data={"version": "2"}).status_code == 403
    assert client.get("/ui/models/iris/try").status_code == 403


def test_a_key_for_one_model_sees_only_that(client: httpx.Client, keys: dict[str, str]) -> None:
    sign_in(client, keys["one"])
    text = client.get("/ui").text
    assert ">iris</a>" in text and ">other</a>" not in text
    assert client.get("/ui/models/other").status_code == 403
    assert "other" not in client.get("/ui/alarms").text
    assert client.get("/ui/models/other/do/promote").status_code == 403


def test_forms_of_other_sites_and_old_ones_are_refused_and_ours_is_on_record(
    served: Served, client: httpx.Client, keys: dict[str, str]
) -> None:
    sign_in(client, keys["manages"])
    page = "/ui/models/iris/do/promote"
    form = {"version": "2", "why": "better", "number": "1", "token": token(client, page)}
    for headers in ({"origin": "https://elsewhere.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        assert client.post(page, data=form, headers=headers).status_code == 403
    assert client.post(page, data={**form, "token": "guessed"}).status_code == 403
    assert client.post(page, data={name: value for name, value in form.items() if name != "token"}).status_code == 403
    assert salver.Registry(served.store).route("iris").aliases["champion"] == 1
    assert client.post(page, data=form).status_code == 303
    route = salver.Registry(served.store).route("iris")
    assert route.aliases["champion"] == 2 and (route.by, route.why) == ("manages", "better")

    def done() -> list[str]:
        lines = [json.loads(line) for line in (served.store / "audit" / "audit.jsonl").read_text().splitlines()]
        called = [one for one in lines if one.get("who") == "manages" and one["event"] == "called"]
        return [one["what"] for one in called if one["status"] == 303]

    until(lambda: bool(done()), 10.0)
    assert done() == ["POST /ui/models/{ref}/do/{verb}"]


def test_it_can_be_switched_off(store: Path, keys: dict[str, str]) -> None:
    with serving(["iris"], store=store, arguments=["--no-monitor", "--set", "access.dashboard=off"]) as served:
        for path in ("/ui", "/ui/login", "/ui/static/ui.css"):
            assert httpx.get(served.url + path, headers={"x-api-key": keys["looks"]}).status_code == 404
        assert httpx.get(f"{served.url}/models", headers={"x-api-key": keys["predicts"]}).status_code == 200


def test_files_are_those_that_are_shipped(served: Served) -> None:
    answer = httpx.get(f"{served.url}/ui/static/ui.css?v=1")
    assert answer.headers["content-type"].startswith("text/css") and "immutable" in answer.headers["cache-control"]
    for name in ("../pages.py", "..%2Fpages.py", "nothing.js"):
        assert httpx.get(f"{served.url}/ui/static/{name}").status_code == 404
