"""Attacks on who is let in, each against a real server that wants keys."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from salver.door import key as door_key
from salver.door.ring import Ring
from salver.errors import Unauthenticated
from tests.server.attacks import Locked, attack, bearer, locked
from tests.server.wire import Response, Wire, get, head, post
from tests.serving import Served, serving

PLAIN = "server-timing: 1"  # a header that keeps a request off the hot path
CLOSED = ("/models", "/models/echo", "/metrics", "/docs", "/openapi.json", "/v2", "/v2/models", "/v2/models/echo")
MANAGED = (
    *(f"/models/echo/{verb}" for verb in ("promote", "rollback", "canary", "shadow", "erase")),
    *(f"/v2/repository/models/echo/{verb}" for verb in ("load", "unload")),
)
SECONDS = 8.0
"""Within which a change of keys must be known."""


class Site(NamedTuple):
    """A server that wants keys, what is in its store, and a key for each purpose."""

    served: Served
    locked: Locked
    all: str
    label: str
    echo: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = locked(tmp_path_factory.mktemp("site"))
    everything = made.key("everything", "predict", "label", "manage")
    label, echo = made.key("label", "label"), made.key("echo", "predict", models=("echo",))
    with serving(made.models, store=made.store) as served:
        yield Site(served, made, everything, label, echo)


@pytest.fixture
def wire(site: Site) -> Iterator[Wire]:
    with Wire(site.served.url) as made:
        yield made


def question(*headers: str, model: str = "echo", value: float = 1) -> bytes:
    return post(f"/models/{model}/predict", {"features": [value]}, *headers)


def refusal(answer: Response) -> tuple[int, str, bytes]:
    """What tells one refusal from another."""
    return answer.status, answer.headers.get("www-authenticate", ""), answer.body


def require_refused(answer: Response) -> None:
    assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == 'Bearer realm="salver"'
    assert answer.headers["content-type"] == "application/problem+json"


@attack("No key", "401 on every route but health, on the hot path and off it")
def test_no_key(site: Site, wire: Wire) -> None:
    for _ in range(3):
        require_refused(wire.ask(question()))
        require_refused(wire.ask(question(PLAIN)))
        require_refused(wire.ask(post("/models/echo/labels", {"label": 1, "key": "a"})))
    for path in CLOSED:
        assert wire.ask(get(path)).status == 401, path
    for path in MANAGED:
        assert wire.ask(post(path, {})).status == 401, path
    assert wire.ask(post("/v2/models/echo/infer", b"{}")).json["error"].startswith("this server wants an API key")
    assert wire.ask(get("/health/live")).status == wire.ask(get("/health/ready")).status == 200
    assert wire.ask(get("/v2/health/live")).status == wire.ask(get("/v2/health/ready")).status == 200


@attack(
    "Wrong key, revoked key, key of another store, another scheme, two keys", "401, the same to the letter whatever was wrong"
)
def test_wrong_key(site: Site, wire: Wire) -> None:
    other, _ = door_key.new_key("other", ("predict",))
    gone = site.locked.key("gone")
    site.locked.keys.remove("gone", by="test")
    known, secret = door_key.parse(site.all)
    shown = [
        f"salver_{known}_{'A' * 43}",
        f"salver_{known}_{secret[:-1]}{'A' if secret[-1] != 'A' else 'B'}",
        f"salver_{other.id}_{secret}",
        f"salver_{known}",
        f"salver_{known}_{site.locked.kept('everything').digest}",
        gone,
        "",
        "x" * 500,
        site.all.upper(),
    ]
    every = [wire.ask(question(bearer(one))) for one in shown]
    every += [wire.ask(question(f"x-api-key: {one}", PLAIN)) for one in shown]
    every += [wire.ask(question(f"authorization: Basic {site.all}")), wire.ask(question(f"authorization: {site.all}"))]
    every += [
        wire.ask(question(bearer(site.all), bearer(site.echo))),
        wire.ask(question(bearer(site.all), f"x-api-key: {shown[0]}")),
    ]
    every += [wire.ask(question())]
    require_refused(every[0])
    assert len({refusal(answer) for answer in every}) == 1


def test_the_right_key_opens(site: Site, wire: Wire) -> None:
    for header in (bearer(site.all), f"x-api-key: {site.all}", f"authorization: bearer {site.all}"):
        for _ in range(3):
            assert wire.ask(question(header, value=7)).json["prediction"] == 7
            assert wire.ask(question(header, PLAIN, value=8)).json["prediction"] == 8
    for path in CLOSED:
        assert wire.ask(get(path, bearer(site.all))).status == 200, path


@attack("Wrong scope", "403; a key for labels can't predict, one to predict can't label, neither can promote or unload")
def test_wrong_scope(site: Site, wire: Wire) -> None:
    for answer in (
        wire.ask(question(bearer(site.label))),
        wire.ask(question(bearer(site.label), PLAIN)),
        wire.ask(post("/models/echo/labels", {"label": 1, "key": "a"}, bearer(site.echo))),
        wire.ask(get("/models/echo/accuracy", bearer(site.echo))),
        *(wire.ask(post(path, {}, bearer(key))) for path in MANAGED for key in (site.echo, site.label)),
        wire.ask(head("DELETE", "/models/echo/canary", bearer(site.echo))),
    ):
        assert answer.status == 403 and answer.json.get("code", "forbidden") == "forbidden"
    assert wire.ask(post("/models/echo/labels", {"label": 1.0, "key": "a"}, bearer(site.label))).json["taken"] == 1


@attack("Wrong model", "403; the same whether that model exists or not, and no list that names it")
def test_wrong_model(site: Site, wire: Wire) -> None:
    assert wire.ask(question(bearer(site.echo), value=3)).json["prediction"] == 3
    targets = ("other", "other@1", "nothing", "other%40champion", "%6fther", "echo%2F..%2Fother")
    answers = [wire.ask(question(bearer(site.echo), extra, model=model)) for model in targets[:3] for extra in ("x: 1", PLAIN)]
    assert {refusal(answer) for answer in answers} == {refusal(answers[0])}
    assert (answers[0].status, answers[0].json["code"]) == (403, "forbidden")
    assert all(wire.ask(question(bearer(site.echo), model=model)).status in (403, 404) for model in targets[3:])
    for path in ("/models", "/metrics", "/docs", "/v2/models", "/v2/models/other", "/v2/models/stats", "/models/other"):
        assert wire.ask(get(path, bearer(site.echo))).status == 403, path


@attack("A head that was seen with a key is sent without it, or with another", "401; remembered heads are compared whole")
def test_a_remembered_head_lets_nobody_else_in(site: Site, wire: Wire) -> None:
    for _ in range(3):
        assert wire.ask(question(bearer(site.echo))).status == 200
    with Wire(site.served.url) as other:
        known = question(bearer(site.echo))
        for data in (question(), known.replace(site.echo[-4:].encode(), b"AAAA"), known.replace(b"Bearer", b"Basic ")):
            require_refused(other.ask(data))
    assert wire.ask(question(bearer(site.echo))).status == 200


@attack("A key that was just revoked, on a connection that it opened before", "401 within seconds, on the hot path too")
def test_a_revoked_key_is_refused_within_seconds(site: Site, wire: Wire) -> None:
    shown = site.locked.key("leaving")
    _until(lambda: wire.ask(question(bearer(shown))).status == 200)
    for _ in range(5):
        assert wire.ask(question(bearer(shown))).status == 200  # its head is known by now
    site.locked.keys.remove("leaving", by="test", why="left")
    _until(lambda: wire.ask(question(bearer(shown))).status == 401)
    assert wire.ask(question(bearer(site.echo))).status == 200


@attack("A key whose time is over", "401, on the hot path too")
def test_a_key_ends(site: Site, wire: Wire) -> None:
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    shown = site.locked.key("short", expires=expires)
    _until(lambda: wire.ask(question(bearer(shown))).status == 200)
    _until(lambda: wire.ask(question(bearer(shown))).status == 401)


@attack("More requests than a key may send", "429 with Retry-After; other keys go on")
@pytest.mark.parametrize("extra", [(), (PLAIN,)], ids=["hot", "plain"])
def test_too_many_requests(site: Site, wire: Wire, extra: tuple[str, ...]) -> None:
    shown = site.locked.key(f"slow{len(extra)}", requests_per_s=1, burst=5)
    _until(lambda: wire.ask(get("/v2", bearer(shown))).status == 200)
    time.sleep(1.1)
    answers = [wire.ask(question(bearer(shown), *extra)) for _ in range(12)]
    taken = [answer.status for answer in answers]
    assert 4 <= taken.count(200) <= 6 and taken.count(429) == 12 - taken.count(200), taken
    assert answers[-1].json["code"] == "rate_limited" and answers[-1].headers["retry-after"] == "1"
    assert wire.ask(question(bearer(site.all))).status == 200


@attack("Guessing a secret by how long a refusal takes", "one comparison in constant time for every attempt, known key or not")
def test_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[str, str]] = []

    def compare(a: str, b: str) -> bool:
        compared.append((a, b))
        return compare_digest(a, b)

    compare_digest = hmac.compare_digest
    monkeypatch.setattr(door_key.hmac, "compare_digest", compare)
    ring = Ring()
    key, shown = door_key.new_key("a", ("predict",))
    ring.hold([key], ever=True)
    assert ring.enter([shown], "predict", None) is key
    for wrong in (shown[:-2] + ("AA" if not shown.endswith("AA") else "BB"), f"salver_{'0' * 12}_{'A' * 43}", "nothing", ""):
        with pytest.raises(Unauthenticated):
            ring.enter([wrong], "predict", None)
    assert len(compared) == 5
    assert all(len(a) == len(b) == 64 for a, b in compared)


@attack("Looking for keys in the store, the audit log or what the server prints", "only SHA-256 of 256 random bits is kept")
def test_no_secret_is_kept_anywhere(site: Site) -> None:
    secrets = [door_key.parse(shown)[1].encode() for shown in (site.all, site.label, site.echo)]
    files = [file for file in site.locked.store.rglob("*") if file.is_file()]
    assert any(file.parent.name == "keys" for file in files)
    assert not [file for file in files if any(secret in file.read_bytes() for secret in secrets)]


def test_the_audit_log_says_who_did_what_and_who_was_refused(site: Site, wire: Wire) -> None:
    wire.ask(question(bearer(site.label)))
    wire.ask(post("/models/echo/labels", {"label": 123456.0, "key": "customer"}, bearer(site.label)))
    text = (site.locked.store / "audit" / "audit.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    refused = [line for line in lines if line["event"] == "refused" and line.get("who") == "label"]
    assert refused[-1] | {"at": ""} == {
        "event": "refused",
        "at": "",
        "who": "label",
        "what": "POST /models/{ref}/predict",
        "address": "127.0.0.1",
        "status": 403,
        "code": "forbidden",
    }
    assert {"event": "called", "who": "label", "what": "POST /models/{ref}/labels", "model": "echo", "status": 200}.items() <= [
        line for line in lines if line["event"] == "called"
    ][-1].items()
    assert "123456" not in text and "customer" not in text


@attack("`X-HTTP-Method-Override` and its like", "read over: the method on the request line counts")
def test_a_method_can_not_be_overridden(site: Site, wire: Wire) -> None:
    override = (
        "x-http-method-override: GET",
        "x-method-override: GET",
        "x-original-url: /health/live",
        "x-rewrite-url: /health/live",
    )
    require_refused(wire.ask(question(*override)))
    require_refused(wire.ask(get("/models", *override)))
    assert wire.ask(head("PUT", "/models/echo/predict", "content-length: 0", bearer(site.all))).status == 405


@attack(
    "Another path to the same route: `..`, `%2e`, `//`, an absolute URI, NUL, `;`, other cases",
    "no route, or the route with its door",
)
@pytest.mark.parametrize("shown", [False, True], ids=["no key", "a key for another model"])
def test_paths_lead_round_no_door(site: Site, shown: bool) -> None:
    targets = [
        "/models/../models/other/predict",
        "/health/live/../../models/other/predict",
        "/health/../models/other/predict",
        "/models/echo/../other/predict",
        "/models/echo/%2e%2e/other/predict",
        "/models/echo%2f..%2fother/predict",
        "//models/other/predict",
        "/models//other/predict",
        "/models/other//predict",
        "/models/other/predict/",
        "/models/other/predict;echo",
        "/models/other/predict%00",
        "/models/other%00echo/predict",
        "/MODELS/other/predict",
        "/models/other/predict?model=echo",
        "/models/other/predict#/health/live",
        "http://health/live/models/other/predict",
        "http://localhost/models/other/predict",
        "http://localhost@evil/models/other/predict",
        "/models/%6f%74%68%65%72/predict",
        "/models/oth%25er/predict",
        "\\models\\other\\predict",
        "/v2/models/other/../echo/infer",
        "/health/live%2f..%2f..%2fmodels",
        "*",
    ]
    headers = [bearer(site.echo)] if shown else []
    for target in targets:
        with Wire(site.served.url) as wire:
            answer = wire.ask(post(target, {"features": [1]}, *headers))
            assert answer.status in (400, 401, 403, 404, 405), (target, answer)
    with Wire(site.served.url) as wire:
        wire.send(b"POST /models/other\0/predict HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
        assert [answer.status for answer in wire.rest()] == [400]


@attack("Names and headers with line breaks, to split the response", "nothing that a client sends is in a header of the answer")
def test_responses_are_not_split(site: Site, wire: Wire) -> None:
    for name in ("a%0d%0aset-cookie:%20a=b", "a%0aset-cookie:a=b", "a%E5%98%8D%E5%98%8Aset-cookie:a=b"):
        for data in (
            question(bearer(site.all), model=name),
            get(f"/models/{name}", bearer(site.all)),
            get(f"/v2/models/{name}", bearer(site.all)),
        ):
            answer = wire.ask(data)
            assert answer.status in (400, 404)
            assert "set-cookie" not in answer.headers
    answer = wire.ask(question(bearer(site.all), "origin: https://evil.example", "access-control-request-headers: x"))
    assert not [name for name, value in answer.headers.items() if "evil" in value]


@attack("A page of another origin, in a browser", "no CORS header unless `cors.origins` names it")
def test_no_cors_by_default(site: Site, wire: Wire) -> None:
    asked = ("origin: https://evil.example", "access-control-request-method: POST")
    assert wire.ask(head("OPTIONS", "/models/echo/predict", *asked)).status in (401, 405)
    answer = wire.ask(question(bearer(site.all), asked[0]))
    assert answer.status == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


@attack(
    "A page of another origin asks a server on this machine that has no keys",
    "403 `forbidden_origin`; CORS for named origins only",
)
def test_an_open_server_takes_nothing_from_foreign_pages(tmp_path: Path) -> None:
    made = locked(tmp_path, '[cors]\norigins = ["https://good.example"]\n')
    with serving(made.models, store=made.store) as served, Wire(served.url) as wire:
        for _ in range(3):
            assert wire.ask(question()).status == 200
            assert wire.ask(question("origin: http://localhost:3000")).status == 200
            answer = wire.ask(question("origin: https://good.example"))
            assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "https://good.example")
            answer = wire.ask(question("origin: https://evil.example"))
            assert (answer.status, answer.json["code"]) == (403, "forbidden_origin")
            assert "access-control-allow-origin" not in answer.headers
            answer = wire.ask(post("/models/echo/promote", {}, "origin: https://evil.example", "content-type: text/plain"))
            assert (answer.status, answer.json["code"]) == (403, "forbidden_origin")
        asked = ("access-control-request-method: POST", "access-control-request-headers: authorization")
        for origin, allowed in (("https://good.example", 200), ("https://evil.example", 400), ("null", 400)):
            answer = wire.ask(head("OPTIONS", "/predict", f"origin: {origin}", *asked))
            assert (answer.status, "access-control-allow-origin" in answer.headers) == (allowed, allowed == 200)


def test_the_first_key_closes_an_open_server(tmp_path: Path) -> None:
    made = locked(tmp_path, "")
    with serving(made.models, store=made.store) as served, Wire(served.url) as wire:
        for _ in range(3):
            assert wire.ask(question()).status == 200
        shown = made.key("first")
        _until(lambda: wire.ask(question()).status == 401)
        assert wire.ask(question(bearer(shown))).status == 200
        made.keys.remove("first", by="test")
        _until(lambda: wire.ask(question(bearer(shown))).status == 401)
        assert wire.ask(question()).status == 401  # it has had a key, and stays closed


def _until(holds: object) -> None:
    assert callable(holds)
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, "nothing changed within seconds"
        time.sleep(0.05)
