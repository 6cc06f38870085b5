"""Requests that are almost right: real ones of every protocol, with something changed in them."""

from __future__ import annotations

import io
import json
import random
import struct
from collections.abc import Callable
from typing import Any

import h2.config
import h2.connection
import pyarrow as pa
import pyarrow.parquet

from salver.server.rpc.messages import SERVICE, message

ROW = [5.1, 3.5, 1.4, 0.2]
TEXT = {"name": "INPUT0", "shape": [1, 1], "datatype": "BYTES", "data": ["a"]}
READ = (
    "/models",
    "/models/churn@1",
    "/v2/models/simple/stats",
    "/v2/models/simple/config",
    "/v1/models/churn/metadata",
    "/docs",
)
MATRIX = struct.pack("<8d", *ROW, *ROW)
_BOUNDARIES = (
    b"0",
    b"-1",
    b"1e999",
    b"99999999999999999999",
    b"NaN",
    b"null",
    b'"',
    b"[" * 40,
    b"\x00",
    b"\xff\xfe",
    b"\r\n",
    b"{}",
)


def http_seeds() -> list[bytes]:
    """A request of each route and body, as it goes over the wire."""
    tensor = {"name": "X", "shape": [2, 4], "datatype": "FP64"}
    frame = {"dataframe_split": {"columns": ["x0", "x1", "x2", "x3"], "data": [ROW]}}
    bare = {"inference-header-content-length": "0"}
    head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": len(MATRIX)}}]}).encode()
    return [
        _post("/predict", _json({"features": ROW})),
        _post("/models/iris_model/predict", _json({"instances": [ROW, ROW], "probabilities": True, "keys": ["a", None]})),
        _post("/models/churn/predict", _json({"features": {"age": 51, "spend": 2.5, "plan": "pro"}})),
        _post("/models/iris_model/predict", b"x0,x1,x2,x3\n5.1,3.5,1.4,0.2\n", {"content-type": "text/csv"}),
        _post("/models/iris_model/predict", _json(ROW), {"content-type": "application/jsonl"}),
        _post("/models/iris_model/predict", _arrow(), {"content-type": "application/vnd.apache.arrow.stream"}),
        _post("/models/iris_model/predict", _parquet(), {"content-type": "application/vnd.apache.parquet"}),
        _post("/models/iris_model/predict", _gzip(_json({"features": ROW})), {"content-encoding": "gzip"}),
        _post("/v2/models/iris_model/infer", _json({"inputs": [tensor | {"data": ROW * 2}], "id": "7"})),
        _post("/v2/models/simple_identity/infer", _json({"inputs": [TEXT]})),
        _post("/v2/models/iris_model/infer", head + MATRIX, {"inference-header-content-length": str(len(head))}),
        _post("/v2/models/iris_model/infer", MATRIX, bare),
        _post("/v2/repository/index", b"{}"),
        _post("/v1/models/iris_model:predict", _json({"instances": [ROW]})),
        _post("/v1/models/churn/versions/1:predict", _json({"inputs": {"age": [1], "spend": [2], "plan": ["pro"]}})),
        _post("/invocations", _json(frame), {"content-type": "application/json"}),
        _post("/invocations", b"x0,x1,x2,x3\n1,2,3,4\n", {"content-type": "text/csv"}),
        *map(_get, READ),
    ]  # fmt: skip


def grpc_messages() -> list[bytes]:
    """Messages of ModelInfer."""
    kind = message("ModelInferRequest")
    matrix = {"name": "X", "datatype": "FP64", "shape": [2, 4]}
    typed = matrix | {"contents": {"fp64_contents": ROW * 2}}
    text = {"name": "INPUT0", "datatype": "BYTES", "shape": [1, 1], "contents": {"bytes_contents": [b"a"]}}
    made = [
        kind(model_name="iris_model", inputs=[matrix], raw_input_contents=[MATRIX]),
        kind(model_name="iris_model", model_version="1", id="a", inputs=[typed], outputs=[{"name": "prediction"}]),
        kind(model_name="simple_identity", inputs=[text], parameters={"binary_data_output": {"bool_param": True}}),
    ]
    return [one.SerializeToString() for one in made]


def grpc_seeds() -> list[bytes]:
    """What a client writes on a new connection for a call, or for some: preface, settings, and headers and message of each."""
    return [_calls(content, times) for content in grpc_messages() for times in (1, 4)]


def mutated(seed: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """A request with one to four changes, now and then none."""
    made = bytearray(seed)
    for _ in range(draw.choice((0, 1, 1, 1, 2, 3, 4))):
        draw.choice(_CHANGES)(made, others, draw)
    return bytes(made)


def _flip(made: bytearray, others: list[bytes], draw: random.Random) -> None:
    if made:
        made[draw.randrange(len(made))] ^= 1 << draw.randrange(8)


def _cut(made: bytearray, others: list[bytes], draw: random.Random) -> None:
    start = draw.randrange(len(made) + 1)
    del made[start : start + draw.choice((1, 2, 8, 64, len(made)))]


def _repeat(made: bytearray, others: list[bytes], draw: random.Random) -> None:
    start = draw.randrange(len(made) + 1)
    piece = made[start : start + draw.choice((1, 4, 32))]
    made[start:start] = piece * draw.choice((1, 2, 50))


def _insert(made: bytearray, others: list[bytes], draw: random.Random) -> None:
    place = draw.randrange(len(made) + 1)
    made[place:place] = draw.choice(_BOUNDARIES)


def _splice(made: bytearray, others: list[bytes], draw: random.Random) -> None:
    other = draw.choice(others)
    made[draw.randrange(len(made) + 1) :] = other[draw.randrange(len(other)) :]


def _number(made: bytearray, others: list[bytes], draw: random.Random) -> None:
    """Another number in the place of one, lengths among them."""
    digits = [i for i, byte in enumerate(made) if 48 <= byte <= 57]
    if digits:
        place = draw.choice(digits)
        made[place : place + 1] = draw.choice((b"0", b"9", b"-1", b"18446744073709551616", b"1e308", b"0x1", b""))


_CHANGES: list[Callable[[bytearray, list[bytes], random.Random], None]] = [
    _flip,
    _flip,
    _cut,
    _repeat,
    _insert,
    _splice,
    _number,
]


def _post(path: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    named = {"host": "localhost", "content-length": str(len(body)), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: localhost\r\naccept-encoding: identity\r\n\r\n".encode()


def _json(body: Any) -> bytes:
    return json.dumps(body).encode()


def _gzip(body: bytes) -> bytes:
    import gzip

    return gzip.compress(body, mtime=0)


def _table() -> pa.Table:
    return pa.table({f"x{i}": [value, value] for i, value in enumerate(ROW)})


def _arrow() -> bytes:
    sink, table = io.BytesIO(), _table()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def _parquet() -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(_table(), sink)
    return sink.getvalue()


def _calls(content: bytes, times: int) -> bytes:
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    headers = {":method": "POST", ":scheme": "http", ":path": f"/{SERVICE}/ModelInfer", ":authority": "localhost"}
    headers |= {"te": "trailers", "content-type": "application/grpc", "grpc-timeout": "20S"}
    for stream_id in range(1, 2 * times, 2):
        client.send_headers(stream_id, list(headers.items()))
        client.send_data(stream_id, b"\x00" + len(content).to_bytes(4, "big") + content, end_stream=True)
    return client.data_to_send()


def no_json(constant: str) -> None:
    """For `json.loads`: NaN and the infinities are Python's, and no JSON."""
    raise AssertionError(f"{constant} is no JSON")
