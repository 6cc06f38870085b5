"""Tables as bodies: CSV, JSON lines, Arrow and Parquet, as question and as answer, compressed and not, large and small."""

from __future__ import annotations

import gzip
import io
import json
import os
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest
import zstandard

from tests.echo import echo_folder
from tests.serving import Served, serving

CSV, LINES = "text/csv", "application/jsonl"
ARROW, PARQUET = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"
ROWS = pd.DataFrame({"spend": [10.5, 20, 30], "plan": ["basic", "pro", None], "age": [60, None, 20]})
SECRET = "a4f1c0ffee"


def as_arrow(frame: pd.DataFrame) -> bytes:
    table, sink = pa.Table.from_pandas(frame, preserve_index=False), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


def as_parquet(frame: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.to_parquet(file)
    return file.getvalue()


WRITTEN: dict[str, Callable[[pd.DataFrame], bytes]] = {
    CSV: lambda frame: frame.to_csv(index=False).encode(),
    LINES: lambda frame: frame.to_json(orient="records", lines=True).encode(),
    ARROW: as_arrow,
    PARQUET: as_parquet,
}
READ: dict[str, Callable[[bytes], pd.DataFrame]] = {
    CSV: lambda body: pd.read_csv(io.BytesIO(body)),
    LINES: lambda body: pd.DataFrame([json.loads(line) for line in body.splitlines()]),
    ARROW: lambda body: pa.ipc.open_stream(body).read_all().to_pandas(),
    PARQUET: lambda body: pd.read_parquet(io.BytesIO(body)),
}
UNPACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().stream_reader(body).read(),
}


def ask(served: Served, body: bytes, kind: str, model: str = "churn", query: str = "", **headers: str) -> httpx.Response:
    sent = {"content-type": kind, "accept-encoding": "identity"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return httpx.post(f"{served.url}/models/{model}/predict{query}", content=body, headers=sent, timeout=60)


@pytest.fixture(scope="module")
def native(several: Served) -> dict[str, Any]:
    rows = json.loads(ROWS.to_json(orient="records"))
    return httpx.post(f"{several.url}/models/churn/predict", json={"instances": rows, "probabilities": True}).json()


@pytest.mark.parametrize("kind", WRITTEN)
@pytest.mark.parametrize("answered", [None, *READ])
def test_every_format_is_answered_in_every_format(several: Served, native: Any, kind: str, answered: str | None) -> None:
    answer = ask(several, WRITTEN[kind](ROWS), kind, query="?probabilities=true", accept=answered or "*/*")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].partition(";")[0] == (answered or kind)
    got = READ[answered or kind](answer.content)
    assert got["prediction"].tolist() == native["predictions"]
    shares = got[["probability_no", "probability_yes"]].to_numpy()
    np.testing.assert_allclose(shares, native["probabilities"], atol=1e-6)
    assert len(set(got["id"])) == 3


def test_a_table_is_answered_in_json_and_json_by_a_table(several: Served, native: Any) -> None:
    answer = ask(several, WRITTEN[CSV](ROWS), CSV, query="?probabilities=1", accept="application/json").json()
    for name in ("predictions", "probabilities", "classes", "model", "version"):
        assert answer[name] == native[name]
    rows = {"instances": json.loads(ROWS.to_json(orient="records"))}
    for accept in (CSV, ARROW):
        table = httpx.post(f"{several.url}/models/churn/predict", json=rows, headers={"accept": accept})
        assert READ[accept](table.content)["prediction"].tolist() == native["predictions"]


@pytest.mark.parametrize("coding", UNPACKED)
def test_both_ways_compressed(several: Served, native: Any, coding: str) -> None:
    packed = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}[coding]
    for kind in WRITTEN:
        sent = packed(WRITTEN[kind](ROWS))
        with httpx.stream(
            "POST",
            f"{several.url}/models/churn/predict",
            content=sent,
            headers={"content-type": kind, "content-encoding": coding, "accept-encoding": coding},
        ) as answer:
            raw = b"".join(answer.iter_raw())
            assert answer.headers["content-encoding"] == coding
            assert READ[kind](UNPACKED[coding](raw))["prediction"].tolist() == native["predictions"]


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_large_answers_in_json_are_compressed(several: Served, coding: str) -> None:
    rows = {"instances": [[60, 10.5, "basic"]] * 5000}
    headers = {"accept-encoding": coding}
    with httpx.stream("POST", f"{several.url}/models/churn/predict", json=rows, headers=headers) as answer:
        assert answer.headers["content-encoding"] == coding
        raw = b"".join(answer.iter_raw())
    assert len(json.loads(UNPACKED[coding](raw))["predictions"]) == 5000


def test_a_row_that_does_not_fit_is_named_wherever_it_stands(several: Served) -> None:
    many = pd.concat([ROWS.iloc[:1]] * 9000, ignore_index=True)
    for kind in (CSV, LINES):
        wrong = many.astype({"age": object})
        wrong.loc[8000, "age"] = SECRET
        answer = ask(several, WRITTEN[kind](wrong), kind)
        assert answer.status_code == 422, answer.text[:200]
        assert answer.json()["row"] == 8000
        assert SECRET not in answer.text


@pytest.mark.parametrize(
    ("status", "code", "body", "kind", "headers"),
    [
        (400, "invalid_body", b"", CSV, {}),
        (400, "invalid_body", b"age,age\n1,2\n", CSV, {}),
        (400, "invalid_body", b"age,spend,plan\n\xff,1,2\n", CSV, {}),
        (400, "invalid_body", b'age,spend,plan\n"1,1,2\n', CSV, {}),
        (422, "wrong_width", b"age,spend,plan\n1,2\n", CSV, {}),
        (422, "unknown_column", b"age,spend,plan,more\n1,2,pro,3\n", CSV, {}),
        (400, "invalid_json", b'{"age": 1\n', LINES, {}),
        (400, "invalid_json", b"[" * 100_000, LINES, {}),
        (422, "wrong_type", b"1\n", LINES, {}),
        (400, "invalid_body", b"", ARROW, {}),
        (400, "invalid_body", b"\xff" * 64, ARROW, {}),
        (400, "invalid_body", as_arrow(ROWS)[:-40], ARROW, {}),
        (400, "invalid_body", b"PAR1" * 20, PARQUET, {}),
        (400, "invalid_body", b"no gzip", CSV, {"content_encoding": "gzip"}),
        (400, "invalid_body", b"no zstd", CSV, {"content_encoding": "zstd"}),
        (415, "unsupported_encoding", b"", CSV, {"content_encoding": "br"}),
        (406, "not_acceptable", b"age,spend,plan\n1,2,pro\n", CSV, {"accept": "image/png"}),
    ],
)  # fmt: skip
def test_what_is_no_table(several: Served, status: int, code: str, body: bytes, kind: str, headers: dict[str, str]) -> None:
    answer = ask(several, body, kind, **headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_mangled_arrow_and_parquet_harm_nobody(several: Served) -> None:
    draw = np.random.default_rng(1)
    for kind in (ARROW, PARQUET):
        whole = bytearray(WRITTEN[kind](ROWS))
        for _ in range(60):
            mangled = bytearray(whole)
            for place in draw.integers(0, len(whole), 4):
                mangled[place] = int(draw.integers(0, 256))
            assert ask(several, bytes(mangled), kind).status_code in (200, 400, 413, 422)
    assert httpx.get(f"{several.url}/health/live").status_code == 200


def test_no_rows(several: Served) -> None:
    for kind in (CSV, ARROW, PARQUET):
        answer = ask(several, WRITTEN[kind](ROWS.iloc[:0].astype({"age": float})), kind)
        assert answer.status_code == 200, answer.text
        assert len(READ[kind](answer.content)) == 0


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A model of 100 columns of float32, unlogged."""
    from salver.types.signature import Column

    columns = tuple(Column(f"x{i}", "float32") for i in range(100))
    folder = echo_folder(tmp_path_factory.mktemp("models") / "wide", columns=columns, rows=[[1.0] * 100])
    with serving(
        [folder], arguments=["--no-log", "--set", "limits.table_bytes=300MB", "--set", "limits.body_bytes=1MB"]
    ) as served:
        yield served


def batches(size_bytes: int, rows: int = 8192) -> Iterator[bytes]:
    """An Arrow stream of that size, as it is made."""
    schema = pa.schema([(f"x{i}", pa.float32()) for i in range(100)])
    sink = io.BytesIO()
    stream, sent = pa.ipc.new_stream(sink, schema), 0
    batch = pa.record_batch([np.arange(rows, dtype=np.float32) + i for i in range(100)], schema=schema)
    while sent < size_bytes:
        stream.write_batch(batch)
        sent += batch.nbytes
        yield sink.getvalue()
        sink.seek(0)
        sink.truncate()
    stream.close()
    yield sink.getvalue()


def scored(served: Served, size_bytes: int) -> tuple[int, int]:
    """How many rows of a stream of that size were answered, and how much memory the server took for it."""
    process, peak, done = psutil.Process(served.process.pid), 0, threading.Event()
    before = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, process.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        with httpx.stream(
            "POST", f"{served.url}/predict", content=batches(size_bytes), headers={"content-type": ARROW}, timeout=600
        ) as answer:
            assert answer.status_code == 200
            rows = 0
            with pa.ipc.open_stream(io.BufferedReader(_Taken(answer.iter_bytes()))) as read:
                for batch in read:
                    np.testing.assert_array_equal(batch["prediction"].to_numpy(), np.arange(rows, rows + batch.num_rows) % 8192)
                    rows += batch.num_rows
    finally:
        done.set()
        watching.join()
    return rows, peak - before


class _Taken(io.RawIOBase):
    """A stream of bytes as a file."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts, self._left = parts, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = next(self._parts, b"")
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


def test_a_large_stream_is_scored_in_bounded_memory(wide: Served) -> None:
    scored(wide, 20 * 10**6)  # pyarrow is imported, pools have their size
    rows, grown_bytes = scored(wide, 100 * 10**6)
    assert rows == 31 * 8192
    assert grown_bytes < 40 * 10**6


def test_a_table_over_the_limit_is_refused(wide: Served) -> None:
    client = HTTPConnection(wide.url.removeprefix("http://"))
    client.putrequest("POST", "/predict")
    client.putheader("content-type", CSV)
    client.putheader("content-length", str(400 * 10**6))
    client.endheaders(b"x0\n")
    assert client.getresponse().status == 413
    client.close()
    bomb = gzip.compress(bytes(301 * 10**6), 1)
    assert ask(wide, bomb, CSV, model="wide", content_encoding="gzip").status_code == 413


@pytest.mark.soak
def test_a_gigabyte_of_arrow_is_scored_in_bounded_memory(tmp_path: Path) -> None:
    from salver.types.signature import Column

    columns = tuple(Column(f"x{i}", "float32") for i in range(100))
    folder = echo_folder(tmp_path / "wide", columns=columns, rows=[[1.0] * 100])
    with serving([folder], arguments=["--no-log"], environment={**os.environ, "TMPDIR": str(tmp_path)}) as served:
        scored(served, 20 * 10**6)
        rows, grown_bytes = scored(served, 2**30)
        print(f"{rows} rows, the server grew by {grown_bytes / 1e6:.0f} MB")
        assert rows >= 2**30 // 400
        assert grown_bytes < 64 * 10**6


@pytest.mark.parametrize(("timeout", "status"), [("soon", 422), ("0.000001", 504)])
def test_a_deadline_is_that_of_the_whole_table(several: Served, timeout: str, status: int) -> None:
    assert ask(several, as_parquet(ROWS), PARQUET, x_request_timeout_ms=timeout).status_code == status


def test_a_deadline_that_is_none_is_refused_whatever_the_table_holds(several: Served) -> None:
    assert ask(several, b"spend,plan,age\n", CSV, x_request_timeout_ms="soon").status_code == 422
