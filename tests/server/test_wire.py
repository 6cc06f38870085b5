"""The wire, byte by byte: however a request arrives, it gets one answer, its own, or none and a closed connection."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.echo import echo_folder
from tests.server.wire import Wire, get, head, post
from tests.serving import Served, serving

PLAIN = "server-timing: 1"  # a header that keeps a request off the hot path
_SMUGGLED = 666.0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("models")
    with serving([echo_folder(folder / "echo"), echo_folder(folder / "slow", delay_s=0.05)], arguments=["--no-log"]) as server:
        yield server


@pytest.fixture
def wire(served: Served) -> Iterator[Wire]:
    with Wire(served.url) as made:
        yield made


def question(value: float, *headers: str, model: str = "echo", version: str = "1.1") -> bytes:
    return post(f"/models/{model}/predict", {"features": [value]}, *headers, version=version)


# Pipelining


@pytest.mark.parametrize("model", ["echo", "slow"])
def test_pipelined_requests_are_answered_in_order(wire: Wire, model: str) -> None:
    wire.send(b"".join(question(i, model=model) for i in range(20)))
    assert [wire.response().json["prediction"] for _ in range(20)] == list(range(20))


@pytest.mark.parametrize("seed", range(4))
def test_pipelined_requests_of_all_kinds_are_answered_in_order(wire: Wire, seed: int) -> None:
    draw = random.Random(seed)
    sent: list[float | None] = []
    for turn in range(40):
        kinds = [draw.choice(["hot", "plain", "slow", "health", "bad"]) for _ in range(draw.randint(1, 4))]
        data = b""
        for place, kind in enumerate(kinds):
            value = turn * 10 + place
            data += {
                "hot": question(value),
                "plain": question(value, PLAIN),
                "slow": question(value, model="slow"),
                "health": get("/health/live"),
                "bad": post("/models/echo/predict", b"{"),
            }[kind]
            sent.append({"health": -1, "bad": -2}.get(kind, value))
        wire.send(data)
        if draw.random() < 0.3:
            time.sleep(0.002)
    answers = [wire.response().json for _ in sent]
    assert [-1 if "live" in answer else -2 if answer.get("code") else answer["prediction"] for answer in answers] == sent


# Pieces


@pytest.mark.parametrize("headers", [(), (PLAIN,)], ids=["hot", "plain"])
def test_a_request_may_be_split_anywhere(wire: Wire, headers: tuple[str, ...]) -> None:
    data = question(1, *headers)
    for at in range(1, len(data)):
        data = question(at, *headers)
        wire.send(data[:at])
        time.sleep(0.0005)
        assert wire.ask(data[at:]).json["prediction"] == at


def test_a_request_may_come_byte_by_byte(wire: Wire) -> None:
    for byte in question(5):
        wire.send(bytes([byte]))
    assert wire.response().json["prediction"] == 5


def test_a_known_head_may_come_with_half_a_body_or_with_the_next_request(wire: Wire) -> None:
    first, second = question(1.5), question(2.5)
    assert wire.ask(first).json["prediction"] == 1.5  # from here on the head is known
    wire.send(second[:-3])
    time.sleep(0.01)
    assert wire.ask(second[-3:] + first).json["prediction"] == 2.5
    assert wire.response().json["prediction"] == 1.5
    assert wire.ask(first + second[:20]).json["prediction"] == 1.5
    assert wire.ask(second[20:]).json["prediction"] == 2.5


@pytest.mark.parametrize("at", [10, 60, -3])
def test_a_request_that_is_never_finished_harms_nobody(served: Served, at: int) -> None:
    with Wire(served.url) as leaving:
        leaving.send(question(1)[:at])
        time.sleep(0.01)
    with Wire(served.url) as wire:
        assert wire.ask(question(2)).json["prediction"] == 2


# Connections and versions


@pytest.mark.parametrize("headers", [(), (PLAIN,)], ids=["hot", "plain"])
def test_connection_close_is_answered_and_closed(wire: Wire, headers: tuple[str, ...]) -> None:
    answer = wire.ask(question(3, "connection: close", *headers))
    assert answer.json["prediction"] == 3
    assert answer.headers["connection"] == "close"
    assert wire.is_closed()


def test_http_1_0_is_answered_and_closed(wire: Wire) -> None:
    assert wire.ask(question(3, version="1.0")).json["prediction"] == 3
    assert wire.is_closed()


def test_a_chunked_body_is_read(wire: Wire) -> None:
    body = b'{"features": [4]}'
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    for _ in range(2):
        assert wire.ask(head("POST", "/models/echo/predict", "transfer-encoding: chunked") + chunks).json["prediction"] == 4


def test_expect_continue_is_told_to_continue(wire: Wire) -> None:
    data = question(5, "expect: 100-continue")
    start, _, body = data.partition(b"\r\n\r\n")
    assert wire.ask(start + b"\r\n\r\n").status == 100
    assert wire.ask(body).json["prediction"] == 5


def test_an_empty_line_before_a_request_is_passed_over(wire: Wire) -> None:
    for _ in range(3):
        assert wire.ask(b"\r\n" + question(6)).json["prediction"] == 6


# Smuggling: where two readers of HTTP could disagree about where a request ends


def _odd(start: str) -> bytes:
    """A request with an odd head, and inside what may be its body another request."""
    inside = post("/models/echo/predict", {"features": [_SMUGGLED]})
    return start.replace("LENGTH", str(len(inside))).encode("latin-1") + inside


_TARGET = "POST /models/echo/predict HTTP/1.1\r\nhost: test\r\n"
ODD = {
    "two lengths": _TARGET + "content-length: 0\r\ncontent-length: LENGTH\r\n\r\n",
    "two lengths, the other way": _TARGET + "content-length: LENGTH\r\ncontent-length: 0\r\n\r\n",
    "the same length twice": _TARGET + "content-length: LENGTH\r\ncontent-length: LENGTH\r\n\r\n",
    "a list of lengths": _TARGET + "content-length: LENGTH, LENGTH\r\n\r\n",
    "length and chunks": _TARGET + "content-length: LENGTH\r\ntransfer-encoding: chunked\r\n\r\n",
    "chunks and length": _TARGET + "transfer-encoding: chunked\r\ncontent-length: LENGTH\r\n\r\n",
    "chunks, spelled oddly": _TARGET + "content-length: LENGTH\r\ntransfer-encoding: xchunked\r\n\r\n",
    "a plus sign": _TARGET + "content-length: +LENGTH\r\n\r\n",
    "a minus sign": _TARGET + "content-length: -1\r\n\r\n",
    "hexadecimal": _TARGET + "content-length: 0x10\r\n\r\n",
    "other digits": _TARGET + "content-length: ²\r\n\r\n",
    "space before the colon": _TARGET + "content-length : LENGTH\r\n\r\n",
    "bare line feeds": _TARGET.replace("\r\n", "\n") + "content-length: LENGTH\n\n",
    "a bare line feed at the end": _TARGET + "content-length: LENGTH\r\n\n",
    "a bare carriage return": _TARGET + "x: a\rcontent-length: 0\r\ncontent-length: LENGTH\r\n\r\n",
    "a folded line": _TARGET + "x: a\r\n content-length: 0\r\ncontent-length: LENGTH\r\n\r\n",
    "a folded length": _TARGET + "content-length:\r\n LENGTH\r\n\r\n",
    "a null byte": _TARGET + "x: \0\r\ncontent-length: LENGTH\r\n\r\n",
    "a length in the trailer of a name": _TARGET + "x-content-length: 0\r\ncontent-length: LENGTH\r\n\r\n",
}


@pytest.mark.parametrize("start", ODD.values(), ids=ODD.keys())
def test_an_odd_head_never_gets_two_answers(served: Served, start: str) -> None:
    for _ in range(3):  # nor once it could have been remembered
        with Wire(served.url) as wire:
            wire.send(_odd(start))
            answers = wire.rest(timeout_s=0.15)
        assert len(answers) <= 1
        assert all(answer.status >= 400 for answer in answers)
        assert not any(str(int(_SMUGGLED)).encode() in answer.body for answer in answers)


@pytest.mark.parametrize("start", ODD.values(), ids=ODD.keys())
def test_an_odd_head_behind_a_known_one_never_gets_two_answers(served: Served, start: str) -> None:
    with Wire(served.url) as wire:
        for value in (1, 2):
            assert wire.ask(question(value)).json["prediction"] == value
        wire.send(_odd(start))
        answers = wire.rest(timeout_s=0.15)
    assert len(answers) <= 1
    assert all(answer.status >= 400 for answer in answers)


def test_a_body_is_never_read_as_a_head(wire: Wire) -> None:
    """A remembered head inside a body stays part of that body."""
    known = question(7)
    assert wire.ask(known).json["prediction"] == 7
    assert wire.ask(post("/models/echo/predict", known)).json["code"] == "invalid_json"
    start = head("POST", "/models/echo/predict", f"content-length: {len(known)}")
    wire.send(start)
    time.sleep(0.01)
    assert wire.ask(known).json["code"] == "invalid_json"
    assert wire.ask(known).json["prediction"] == 7
