"""Attacks on the wire: slow, oversized, odd and greedy clients, each against a real server with small limits."""

from __future__ import annotations

import gzip
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.server.attacks import Locked, attack, bearer, locked
from tests.server.test_wire import ODD
from tests.server.wire import Response, Wire, get, head, post
from tests.serving import Served, serving

TARGET = "/models/echo/predict"
SMUGGLED = 666.0
LATE_S = 6.0
"""By when a client that must be cut off after a second is cut off, on a machine that has other things to do."""

Ended = tuple[Response | None, float]
"""The response to a slow client, if it got one, and after how many seconds its connection was closed."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Locked, str]]:
    made = locked(tmp_path_factory.mktemp("site"))
    shown = made.key("caller", "predict", "label")
    with serving(made.models, store=made.store) as served:
        yield served, made, shown


@pytest.fixture
def served(site: tuple[Served, Locked, str]) -> Served:
    return site[0]


@pytest.fixture
def auth(site: tuple[Served, Locked, str]) -> str:
    return bearer(site[2])


@pytest.fixture
def wire(served: Served) -> Iterator[Wire]:
    with Wire(served.url) as made:
        yield made


@pytest.fixture(autouse=True)
def everybody_else_is_served(served: Served, auth: str) -> Iterator[None]:
    """After each attack, and on a connection that was open during it, a request is answered at once."""
    with Wire(served.url) as steady:
        assert steady.ask(post(TARGET, {"features": [1]}, auth)).status == 200
        yield
    with Wire(served.url) as fresh:
        started = time.monotonic()
        assert fresh.ask(post(TARGET, {"features": [2]}, auth)).json["prediction"] == 2
        assert time.monotonic() - started < 1


# Slow clients: all at once, so that the tests need not wait for one after the other


def _drip(served: Served, start: bytes, drop: bytes, every_s: float) -> Ended:
    """Send `start`, then a drop now and then, until the server closes."""
    began = time.monotonic()
    with Wire(served.url) as wire:
        wire.send(start)
        wire.socket.settimeout(every_s)
        received = b""
        while time.monotonic() - began < 2 * LATE_S:
            try:
                data = wire.socket.recv(65536)
                if not data:
                    break
                received += data
            except TimeoutError:
                with suppress(OSError):
                    wire.send(drop)
            except OSError:
                break
        took_s = time.monotonic() - began
    status = int(received.split()[1]) if received else 0
    return (Response(status, {}, received) if received else None), took_s


@pytest.fixture(scope="module")
def slow(site: tuple[Served, Locked, str]) -> Iterator[dict[str, Future[Ended]]]:
    served, _, shown = site
    begin = head("POST", TARGET, bearer(shown), "content-length: 20000")
    clients = {
        "nothing": (b"", b"", 0.1),
        "line": (b"POST /mod", b"x", 0.1),
        "headers": (b"GET /models HTTP/1.1\r\nhost: a\r\n", b"x-a: b\r\n", 0.3),
        "breaks": (get("/health/live"), b"\r\n", 0.2),
        "body": (begin, b" ", 0.1),
        "hot body": (head("POST", TARGET, bearer(shown), "content-length: 200"), b" ", 0.1),
        "chunks": (head("POST", TARGET, bearer(shown), "transfer-encoding: chunked"), b"1\r\n \r\n", 0.1),
        "idle": (get("/health/live"), b"", 0.2),
    }
    with ThreadPoolExecutor(len(clients)) as pool:
        yield {name: pool.submit(_drip, served, *client) for name, client in clients.items()}


@attack("Slowloris: a head that never ends, or never begins", "408 and closed after `limits.head_s`, however steadily it drips")
@pytest.mark.parametrize("client", ["line", "headers"])
def test_slow_head(slow: dict[str, Future[Ended]], client: str) -> None:
    answer, took_s = slow[client].result()
    assert answer and answer.status == 408 and b'"too_slow"' in answer.body
    assert 0.9 < took_s < LATE_S


@attack("A connection that says nothing", "closed after `limits.head_s`; a kept-alive one after `limits.idle_s`")
def test_silent_connections(slow: dict[str, Future[Ended]]) -> None:
    answer, took_s = slow["nothing"].result()
    assert answer is None and 0.9 < took_s < LATE_S
    answer, took_s = slow["idle"].result()
    assert answer and answer.status == 200 and 2 < took_s < LATE_S


@attack("Line breaks between requests, for ever", "closed after `limits.idle_s`")
def test_line_breaks_for_ever(slow: dict[str, Future[Ended]]) -> None:
    answer, took_s = slow["breaks"].result()
    assert answer and answer.status == 200 and took_s < 2 * LATE_S


@attack(
    "Slow body, with a length or in chunks, on the hot path or off it",
    "408 and closed after `limits.body_s`, unless it comes at `limits.body_bytes_per_s`",
)
@pytest.mark.parametrize("client", ["body", "hot body", "chunks"])
def test_slow_body(slow: dict[str, Future[Ended]], client: str) -> None:
    answer, took_s = slow[client].result()
    assert answer and answer.status == 408 and b'"too_slow"' in answer.body
    assert 0.9 < took_s < LATE_S


def test_a_body_that_comes_fast_enough_may_take_longer(served: Served, auth: str, wire: Wire) -> None:
    body = b'{"features": [4]}' + b" " * 20_000
    wire.send(head("POST", TARGET, auth, f"content-length: {len(body)}"))
    for start in range(0, len(body), 1000):  # some 6 kB/s, for three seconds and a half
        wire.send(body[start : start + 1000])
        time.sleep(0.17)
    assert wire.response().json["prediction"] == 4


@attack("Asking and never reading the answers", "closed after `limits.answer_s` in which nothing was taken")
def test_a_client_that_never_reads(served: Served, auth: str) -> None:
    ask = post(TARGET, {"instances": [[1.5]] * 1000}, auth)
    with socket.socket() as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        parts = urlsplit(served.url)
        asking.connect((parts.hostname, parts.port))
        asking.settimeout(1)
        deadline = time.monotonic() + 4 * LATE_S
        with pytest.raises(OSError):  # reset, in the end
            while time.monotonic() < deadline:
                try:
                    asking.sendall(ask)
                except TimeoutError:
                    time.sleep(0.1)
            raise AssertionError("it was never closed")


# Oversized


def _is_refused(answer: Response, status: int, code: str) -> None:
    assert (answer.status, answer.json["code"]) == (status, code), answer


@attack("A very long request target", "414 and closed")
def test_long_target(wire: Wire, auth: str) -> None:
    _is_refused(wire.ask(get(f"/models/{'a' * 1000}", auth)), 414, "target_too_long")
    assert wire.is_closed()


@attack("Very many headers, a very large one, one that never ends", "431 and closed before it is kept")
def test_large_heads(served: Served, auth: str) -> None:
    heads = [
        head("GET", "/models", *(f"x-{i}: a" for i in range(30))),
        head("GET", "/models", f"x: {'a' * 5000}"),
        head("GET", "/models", f"{'x' * 5000}: a"),
        post(TARGET, {"features": [1]}, f"x: {'a' * 5000}", auth),
        b"GET /models HTTP/1.1\r\nx: " + b"a" * 100_000,
        head("POST", TARGET, auth, "transfer-encoding: chunked") + b"1\r\n \r\n0\r\n" + b"x: a\r\n" * 40 + b"\r\n",
    ]
    for data in heads[:-2]:
        with Wire(served.url) as wire:
            _is_refused(wire.ask(data), 431, "headers_too_large")
            assert wire.is_closed()
    for data in heads[-2:]:  # what comes in pieces is counted too
        with Wire(served.url) as wire:
            for start in range(0, len(data), 3000):
                try:
                    wire.send(data[start : start + 3000])
                except OSError:
                    break
                time.sleep(0.002)
            assert [answer.status for answer in wire.rest()] in ([431], [400], [])


@attack("A very large body, by its length", "413 before any of it is read")
def test_large_body_by_length(served: Served, auth: str) -> None:
    for length in (300_001, 10**12):
        with Wire(served.url) as one:
            _is_refused(one.ask(head("POST", TARGET, auth, f"content-length: {length}")), 413, "too_large")
    with Wire(served.url) as one, pytest.raises(OSError):  # who goes on sending all the same is cut off
        one.send(head("POST", TARGET, auth, f"content-length: {10**12}"))
        for _ in range(1000):
            one.send(b" " * 100_000)


@attack("A very large body, in chunks", "413 once `limits.body_bytes` are passed")
def test_large_body_in_chunks(wire: Wire, auth: str) -> None:
    wire.send(head("POST", TARGET, auth, "transfer-encoding: chunked"))
    for _ in range(6):
        wire.send(b"%x\r\n%b\r\n" % (60_000, b" " * 60_000))
    _is_refused(wire.response(), 413, "too_large")


@attack("A decompression bomb", "413 once `limits.decompressed_bytes` are passed, in bounded memory")
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_decompression_bomb(served: Served, wire: Wire, auth: str, encoding: str) -> None:
    import zlib

    plain = b'{"features": [' + b" " * 200_000_000
    bomb = gzip.compress(plain, 6) if encoding == "gzip" else zlib.compress(plain, 6)
    assert len(bomb) < 300_000
    process = psutil.Process(served.process.pid)
    before = process.memory_info().rss
    for _ in range(3):
        with Wire(served.url) as one:
            _is_refused(one.ask(post(TARGET, bomb, auth, f"content-encoding: {encoding}")), 413, "too_large")
    assert process.memory_info().rss - before < 20 * 2**20


@attack("JSON nested very deeply", "400 before it is decoded; brackets inside of text don't count")
def test_deep_json(wire: Wire, auth: str) -> None:
    for depth in (11, 1000, 100_000):
        for opening in (b"[", b'{"a":', b'{"features":[' + b"["):
            body = opening * (depth if depth < 20_000 else 20_000)
            _is_refused(wire.ask(post(TARGET, body, auth)), 400, "invalid_json")
    assert wire.ask(post(TARGET, {"features": [1], "key": "[" * 200}, auth)).status == 200
    assert wire.ask(post(TARGET, {"features": [1], "key": '\\"[' * 50}, auth)).status == 200


@attack("JSON of very many values, to take far more memory than its bytes", "413 before it is decoded")
def test_many_values(served: Served, wire: Wire, auth: str) -> None:
    for value in (b"[]", b"{}", b"1"):
        body = b'{"instances":[' + b",".join([value] * 98_000) + b"]}"
        padded = body + b" " * (250_000 - len(body)) if len(body) < 250_000 else body
        answer = wire.ask(post(TARGET, padded, auth))
        _is_refused(answer, 413, "too_large")


@attack("Very many rows, very many columns", "413")
def test_many_rows_and_columns(wire: Wire, auth: str) -> None:
    _is_refused(wire.ask(post(TARGET, {"instances": [[1]] * 1001}, auth)), 413, "too_large")
    tensor = {"name": "x0", "shape": [1001, 1], "datatype": "FP64", "data": [1] * 1001}
    answer = wire.ask(post("/v2/models/echo/infer", {"inputs": [tensor]}, auth))
    assert answer.status in (400, 413) and "at most 1000 rows" in answer.json["error"]
    inputs = [tensor | {"name": f"y{i}", "shape": [1], "data": [1]} for i in range(31)]
    answer = wire.ask(post("/v2/models/echo/infer", {"inputs": inputs}, auth))
    assert answer.status in (400, 413) and "at most 30 columns" in answer.json["error"]
    assert wire.ask(post(TARGET, {"features": [1] * 31}, auth)).status == 422


# Odd


@attack("Text that is no UTF-8, in names and in values", "400")
@pytest.mark.parametrize("extra", [(), ("server-timing: 1",)], ids=["hot", "plain"])
def test_text_that_is_no_utf_8(wire: Wire, auth: str, extra: tuple[str, ...]) -> None:
    for body in (
        b'{"f\xc7atures": [1]}',
        b'{"features\xff": [1]}',
        b'{"features": ["\xff"]}',
        b'{"features": [1], "key": "\xc0"}',
    ):
        _is_refused(wire.ask(post(TARGET, body, auth, *extra)), 400, "invalid_json")
        answer = wire.ask(post("/v2/models/echo/infer", b'{"inp\xc7uts": []}', auth, *extra))
        assert answer.status == 400


@attack("Leaving in the middle of a body, again and again", "nothing: no answer, no line in the server's own log")
def test_leaving_in_the_middle(served: Served, auth: str) -> None:
    said = len(served.output.read_text())
    for size in (100, 100_000):
        for _ in range(10):
            with Wire(served.url) as leaving:
                leaving.send(head("POST", TARGET, auth, f"content-length: {size}") + b" " * (size // 2))
    with Wire(served.url) as wire:
        assert wire.ask(get("/health/live")).status == 200
    assert "Traceback" not in served.output.read_text()[said:]


MORE_ODD = {
    "a huge length": f"POST {TARGET} HTTP/1.1\r\nhost: test\r\ncontent-length: {2**64 + 16}\r\n\r\n",
    "an empty length": f"POST {TARGET} HTTP/1.1\r\nhost: test\r\ncontent-length: \r\n\r\n",
    "a length with a space in it": f"POST {TARGET} HTTP/1.1\r\nhost: test\r\ncontent-length: 1 6\r\n\r\n",
    "a space before the first header": f"POST {TARGET} HTTP/1.1\r\n host: test\r\ncontent-length: LENGTH\r\n\r\n",
    "a header without a name": f"POST {TARGET} HTTP/1.1\r\nhost: test\r\n: a\r\ncontent-length: LENGTH\r\n\r\n",
    "chunks twice": f"POST {TARGET} HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked, chunked\r\ncontent-length: 5\r\n\r\n",
    "a tab in the request line": f"POST\t{TARGET} HTTP/1.1\r\nhost: test\r\ncontent-length: LENGTH\r\n\r\n",
    "two spaces in the request line": f"POST  {TARGET} HTTP/1.1\r\nhost: test\r\ncontent-length: LENGTH\r\n\r\n",
    "another version": f"POST {TARGET} HTTP/1.2\r\nhost: test\r\ncontent-length: LENGTH\r\n\r\n",
}


@attack(
    "Header smuggling through the hot path: two lengths, length and chunks, bare line feeds, folded lines, a space before the "
    "colon, huge, negative, signed, hexadecimal or empty lengths",
    "at most one answer, an error; the request inside is not done, whether heads like it are remembered or not",
)
@pytest.mark.parametrize("start", [*ODD.values(), *MORE_ODD.values()], ids=[*ODD, *MORE_ODD])
def test_header_smuggling(served: Served, auth: str, start: str) -> None:
    inside = post(TARGET, {"features": [SMUGGLED]}, auth)
    odd = start.replace("/models/echo/predict", TARGET).replace("\r\nhost: test", f"\r\nhost: test\r\n{auth}", 1)
    data = odd.replace("LENGTH", str(len(inside))).encode("latin-1") + inside
    for known in (False, True, True):
        with Wire(served.url) as wire:
            if known:
                assert wire.ask(post(TARGET, {"features": [1]}, auth)).status == 200
            wire.send(data)
            answers = wire.rest(timeout_s=0.1)
        assert len(answers) <= 1
        assert not any(str(int(SMUGGLED)).encode() in answer.body for answer in answers)
        assert all(answer.status >= 400 for answer in answers)


@attack("A request that is not let in, with another in its body", "401, and the body is not read as a request")
def test_the_body_of_a_refused_request_is_no_request(served: Served, auth: str) -> None:
    inside = post(TARGET, {"features": [SMUGGLED]}, auth)
    for extra in ((), ("server-timing: 1",)):
        with Wire(served.url) as wire:
            wire.send(post(TARGET, inside, *extra))
            assert [answer.status for answer in wire.rest(0.2)] == [401]


@attack("HTTP/0.9, the preface of HTTP/2, TLS on a plain port, noise", "an error, and closed; HTTP/1.0 passes the same door")
def test_other_protocols(served: Served, auth: str) -> None:
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    for data in (b"GET /models\r\n\r\n", preface, hello, b"\x00" * 100, b"\xff" * 100, b"SSH-2.0-x\r\n"):
        with Wire(served.url) as wire:
            wire.send(data)
            assert all(answer.status in (400, 401) for answer in wire.rest(2)), data
    with Wire(served.url) as wire:
        assert wire.ask(post(TARGET, {"features": [3]}, auth, version="1.0")).json["prediction"] == 3
        assert wire.is_closed()
    with Wire(served.url) as wire:
        assert wire.ask(post(TARGET, {"features": [3]}, version="1.0")).status == 401
    upgrade = ("connection: upgrade, http2-settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__")
    with Wire(served.url) as wire:
        assert wire.ask(get("/models", *upgrade)).status == 401


# Greedy


@attack("Pipelining without end", "closed once `limits.pipelined` requests wait behind one; what was before them is answered")
def test_endless_pipelining(served: Served, auth: str) -> None:
    process = psutil.Process(served.process.pid)
    before = process.memory_info().rss
    with ExitStack() as stack:
        for _ in range(5):
            wire = stack.enter_context(Wire(served.url))
            try:
                for _ in range(200):
                    wire.send(get("/health/live") * 500)
            except OSError:
                continue
        assert process.memory_info().rss - before < 30 * 2**20
    with Wire(served.url) as wire:
        wire.send(b"".join(post(TARGET, {"features": [i]}, auth, "server-timing: 1") for i in range(40)))
        assert [wire.response().json["prediction"] for _ in range(40)] == list(range(40))


@attack("Very many connections from one address", "503 `too_many_connections` for those above `limits.connections_per_address`")
def test_many_connections(served: Served) -> None:
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(served.url)) for _ in range(60)]
        statuses = [_asked(wire) for wire in wires]
        assert 20 <= statuses.count(503) <= 30 and statuses.count(200) == 60 - statuses.count(503)
    _until(lambda: _fresh(served) == 200)  # those that ended are no longer counted


@attack("More connections than the server takes in all", "503 `too_many_connections`, and the others go on")
def test_too_many_connections(tmp_path: Path) -> None:
    made = locked(tmp_path, "[limits]\nconnections = 5\n")
    with serving(made.models, store=made.store, arguments=["--no-log"]) as served, ExitStack() as stack:
        wires = [stack.enter_context(Wire(served.url)) for _ in range(8)]
        assert [_asked(wire) for wire in wires] == [200] * 5 + [503] * 3
        text = wires[0].ask(get("/metrics")).body.decode()
        assert 'salver_refusals_total{code="too_many_connections"} 3.0' in text and "salver_connections 5.0" in text


def _fresh(served: Served) -> int:
    with Wire(served.url) as wire:
        return _asked(wire)


def _asked(wire: Wire) -> int:
    try:
        return wire.ask(get("/health/live")).status
    except (EOFError, ConnectionError):
        return 503  # it was told so before it asked, and the connection reset since it asked all the same


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LATE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
