"""Every store keeps the same promises."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Barrier

import pytest

from salver.errors import ConfigError, StoreError
from salver.registry.store import open_store

RACERS = 8


def test_a_name_is_created_once(url: str) -> None:
    store = open_store(url)
    assert store.create("a/b/1.json", b"one")
    assert not store.create("a/b/1.json", b"two")
    assert store.read("a/b/1.json", 10) == b"one"


def test_of_those_who_create_at_once_one_wins(url: str) -> None:
    stores = [open_store(url) for _ in range(RACERS)]
    with ThreadPoolExecutor(RACERS) as pool:
        for turn in range(20):
            start = Barrier(RACERS)

            def race(racer: int, turn: int = turn, start: Barrier = start) -> bool:
                start.wait()
                return stores[racer].create(f"race/{turn}", b"%d" % racer)

            won = list(pool.map(race, range(RACERS)))
            assert won.count(True) == 1
            assert stores[0].read(f"race/{turn}", 10) == b"%d" % won.index(True)


def test_what_is_not_there_is_none(url: str) -> None:
    store = open_store(url)
    assert store.read("a/1", 10) is None
    assert store.names("a") == [] == store.children("a")
    store.remove(["a/1"])


def test_names_and_children(url: str) -> None:
    store = open_store(url)
    for name in ("m/a/x/1", "m/a/2", "m/b/3", "n/4"):
        store.create(name, b"")
    assert sorted(store.names("m")) == ["m/a/2", "m/a/x/1", "m/b/3"]
    assert sorted(store.children("m")) == ["a", "b"]
    store.remove(["m/a/x/1", "m/a/2"])
    assert store.names("m") == ["m/b/3"]
    assert store.children("m") == ["b"]


def test_files_go_in_and_out_whole(url: str, tmp_path: Path) -> None:
    store, file, copy = open_store(url), tmp_path / "in", tmp_path / "out"
    file.write_bytes(os.urandom(6_000_000))  # more than one part of an upload
    store.upload("big", file)
    store.download("big", copy, 6_000_000)
    assert copy.read_bytes() == file.read_bytes()
    with pytest.raises(StoreError, match="larger"):
        store.download("big", copy, 5_999_999)
    with pytest.raises(StoreError, match="larger"):
        store.read("big", 100)
    with pytest.raises(StoreError):
        store.download("none", copy, 1)


def test_a_store_that_can_not_be_reached_says_so(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match="bucket is not there"):
        open_store("s3://no-such-bucket/x").create("a", b"")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="the store"):
        open_store(str(tmp_path / "file" / "store")).create("a", b"")
    with pytest.raises(ConfigError, match="ftp://"):
        open_store("ftp://models")


@pytest.mark.parametrize("url", ["folder"], indirect=True)
def test_the_default_is_the_users_own_store(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_store().url == str(tmp_path / "data" / "salver")
    monkeypatch.setenv("SALVER_STORE", f"file://{tmp_path}/other")
    assert open_store().url == str(tmp_path / "other")


class Heedless(BaseHTTPRequestHandler):
    """An S3 server that takes whatever is put, whatever the conditions."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("ETag", '"0"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_store_that_takes_no_notice_of_conditions_is_refused(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), Heedless) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name, value in {**s3, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}"}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(StoreError, match="If-None-Match"):
            open_store("s3://models/x").create("a", b"")
        server.shutdown()
