"""Stock clients, as they come from their packages: tritonclient, over HTTP and gRPC, waiting and not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from queue import Queue
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_grpc_aio
import tritonclient.http as triton_http
import tritonclient.http.aio as triton_http_aio
from tritonclient.utils import InferenceServerException

from tests.serving import Served

FIRST, SECOND = np.arange(16, dtype=np.int32)[None], np.ones((1, 16), np.int32)
TEXTS = np.array([["žebra", "", "aGVsbG8="]], dtype=object)
KINDS = {
    "identity_fp32": ("FP32", np.array([[1.5, np.nan, -np.inf]], np.float32)),
    "identity_fp16": ("FP16", np.array([[1.5, -2.0]], np.float16)),
    "identity_int64": ("INT64", np.array([[2**63 - 1, -(2**63)]], np.int64)),
    "identity_bool": ("BOOL", np.array([[True, False]])),
    "identity_uint8": ("UINT8", np.array([[0, 255]], np.uint8)),
    "identity_uint32": ("UINT32", np.array([[0, 2**32 - 1]], np.uint32)),
    "simple_identity": ("BYTES", TEXTS),
}


def wire(served: Served, triton: ModuleType) -> str:
    return served.grpc if triton in (triton_grpc, triton_grpc_aio) else served.url.removeprefix("http://")


def given(triton: ModuleType, name: str, datatype: str, array: Any, **how: Any) -> Any:
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, **how)
    return made


def simple(triton: ModuleType, **how: Any) -> list[Any]:
    return [given(triton, "INPUT0", "INT32", FIRST, **how), given(triton, "INPUT1", "INT32", SECOND, **how)]


def same(got: Any, want: Any) -> None:
    if want.dtype == object:
        assert [value.decode() if isinstance(value, bytes) else value for value in got.ravel()] == list(want.ravel())
    else:
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("triton", [triton_http, triton_grpc], ids=["http", "grpc"])
def test_what_a_client_asks_before_it_infers(several: Served, triton: Any) -> None:
    with triton.InferenceServerClient(wire(several, triton)) as client:
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("simple", "1")
        assert not client.is_model_ready("nobody")
        as_json = {"as_json": True} if triton is triton_grpc else {}
        assert client.get_server_metadata(**as_json)["name"] == "salver"
        metadata = client.get_model_metadata("simple", **as_json)
        assert [tensor["name"] for tensor in metadata["inputs"]] == ["INPUT0", "INPUT1"]
        assert [int(size) for size in metadata["outputs"][0]["shape"]] == [-1, 16]
        config = client.get_model_config("simple", **as_json)
        assert (config.get("config") or config)["input"][0]["data_type"] == "TYPE_INT32"
        stats = client.get_inference_statistics("simple", **as_json)["model_stats"]
        assert [one["name"] for one in stats] == ["simple"]
        index = client.get_model_repository_index(**as_json)
        assert "simple" in [one["name"] for one in (index["models"] if as_json else index)]
        with pytest.raises(InferenceServerException, match="Request for unknown model"):
            client.get_model_metadata("wrong_model_name")
        with pytest.raises(InferenceServerException, match="failed to load"):
            client.load_model("nobody")
        client.unload_model("unloadable")
        assert not client.is_model_ready("unloadable")
        client.load_model("unloadable")
        assert client.is_model_ready("unloadable")


@pytest.mark.parametrize("model", KINDS)
@pytest.mark.parametrize("triton", [triton_http, triton_grpc], ids=["http", "grpc"])
def test_every_datatype(several: Served, triton: Any, model: str) -> None:
    datatype, array = KINDS[model]
    with triton.InferenceServerClient(wire(several, triton)) as client:
        same(client.infer(model, [given(triton, "INPUT0", datatype, array)]).as_numpy("OUTPUT0"), array)


HTTP = {
    "bytes": {},
    "json": {"binary_data": False},
}


@pytest.mark.parametrize("how", HTTP)
@pytest.mark.parametrize("answered", HTTP)
@pytest.mark.parametrize("packed", [None, "gzip", "deflate"])
def test_every_way_over_http(several: Served, how: str, answered: str, packed: str | None) -> None:
    with triton_http.InferenceServerClient(wire(several, triton_http)) as client:
        outputs = [triton_http.InferRequestedOutput("OUTPUT1", **HTTP[answered])]
        answer = client.infer(
            "simple",
            simple(triton_http, **HTTP[how]),
            outputs=outputs,
            request_id="7",
            request_compression_algorithm=packed,
            response_compression_algorithm=packed,
            priority=1,
            timeout=1_000_000,
        )
        same(answer.as_numpy("OUTPUT1"), FIRST - SECOND)
        assert answer.as_numpy("OUTPUT0") is None
        assert answer.get_response()["id"] == "7"


def test_without_waiting_over_http(several: Served) -> None:
    with triton_http.InferenceServerClient(wire(several, triton_http), concurrency=4) as client:
        asked = [client.async_infer("simple", simple(triton_http)) for _ in range(8)]
        for one in asked:
            same(one.get_result().as_numpy("OUTPUT0"), FIRST + SECOND)


def test_without_waiting_over_grpc(several: Served) -> None:
    with triton_grpc.InferenceServerClient(wire(several, triton_grpc)) as client:
        answers: Queue[tuple[Any, Any]] = Queue()
        answered: Callable[..., None] = lambda result, error: answers.put((result, error))  # noqa: E731
        for _ in range(8):
            client.async_infer("simple", simple(triton_grpc), answered)
        for result, error in (answers.get(timeout=20) for _ in range(8)):
            assert error is None
            same(result.as_numpy("OUTPUT0"), FIRST + SECOND)
        client.start_stream(answered)
        client.async_stream_infer("simple", simple(triton_grpc), request_id="1")
        client.async_stream_infer("nobody", simple(triton_grpc), request_id="2")
        client.async_stream_infer("simple", simple(triton_grpc), request_id="3")
        (first, _), (_, refused), (third, _) = (answers.get(timeout=20) for _ in range(3))
        client.stop_stream()
        assert (first.get_response().id, third.get_response().id) == ("1", "3")
        assert "unknown model" in refused.message()


@pytest.mark.parametrize("triton", [triton_http_aio, triton_grpc_aio], ids=["http", "grpc"])
def test_in_asyncio(several: Served, triton: Any) -> None:
    tensors = triton_http if triton is triton_http_aio else triton_grpc

    async def ask() -> None:
        async with triton.InferenceServerClient(wire(several, triton)) as client:
            assert await client.is_model_ready("simple")
            asked = (client.infer("simple", simple(tensors)) for _ in range(8))
            for answer in await asyncio.gather(*asked):
                same(answer.as_numpy("OUTPUT0"), FIRST + SECOND)
            with pytest.raises(InferenceServerException, match="expected 2 inputs"):
                await client.infer("simple", simple(tensors)[:1])

    asyncio.run(ask())


@pytest.mark.parametrize("packed", ["gzip", "deflate"])
def test_compressed_messages(several: Served, packed: str) -> None:
    with triton_grpc.InferenceServerClient(wire(several, triton_grpc)) as client:
        answer = client.infer("simple", simple(triton_grpc), compression_algorithm=packed)
        same(answer.as_numpy("OUTPUT0"), FIRST + SECOND)
