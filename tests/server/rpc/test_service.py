"""gRPC as its protocol has it, asked with messages made from the descriptor that is shipped."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from salver.door.key import new_key
from salver.door.keys import Keys
from salver.registry.store import open_store
from salver.server.rpc.messages import SERVICE, message
from tests.echo import echo_folder
from tests.serving import Served, free_port, serving

RPC = Path(__file__).resolve().parents[3] / "src" / "salver" / "server" / "rpc"
APART = [("grpc.use_local_subchannel_pool", 1)]
"""A connection of its own."""
WAYS: list[dict[str, Any]] = [{"compression": grpc.Compression.Gzip}, *([{}] * 3), *([{"timeout": 30.0}] * 3)]
"""Of the same call: by way of grpclib; when its head is new, and when it is known; the same with a deadline."""
UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


@pytest.fixture
def channel(several: Served) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(several.grpc, options=UNLIMITED) as made:
        yield made


def call(channel: grpc.Channel, name: str, content: Any, timeout_s: float = 30.0, service: str = SERVICE) -> Any:
    """The answer to a message, or to bytes as they are.

    ModelInfer is called in each of WAYS, which are answered by different code.
    """
    request = content if isinstance(content, bytes) else content.SerializeToString()
    read = message(f"{name}Response").FromString if service == SERVICE else None
    ask = channel.unary_unary(f"/{service}/{name}", None, read)
    answer = ask(request, timeout=timeout_s)
    if name == "ModelInfer" and b"prediction_id" not in request:
        for way in WAYS:
            assert ask(request, **way) == answer
    return answer


def refused(channel: grpc.Channel, name: str, content: Any, timeout_s: float = 30.0) -> tuple[str, str, str]:
    """The status, our own code, and the text."""
    request, said = content if isinstance(content, bytes) else content.SerializeToString(), []
    for way in ({"timeout": timeout_s}, *WAYS):
        with pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary(f"/{SERVICE}/{name}")(request, **way)
        code = dict(raised.value.trailing_metadata() or ()).get("salver-code", "")
        said.append((raised.value.code().name, code, raised.value.details() or ""))
    assert len(set(said)) == 1
    return said[0]


def infer(model: str, *inputs: dict[str, Any], raw: tuple[bytes, ...] = (), **more: Any) -> Any:
    return message("ModelInferRequest")(model_name=model, inputs=list(inputs), raw_input_contents=raw, **more)


def tensor(name: str, datatype: str, shape: list[int], **contents: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape} | ({"contents": contents} if contents else {})


def test_the_descriptor_is_that_of_the_proto_file(tmp_path: Path) -> None:
    compiled = tmp_path / "inference.binpb"
    arguments = ["-m", "grpc_tools.protoc", "-I", str(RPC), f"--descriptor_set_out={compiled}", "inference.proto"]
    subprocess.run([sys.executable, *arguments], check=True)
    assert compiled.read_bytes() == (RPC / "inference.binpb").read_bytes()


@pytest.mark.parametrize(
    ("model", "datatype", "field", "values"),
    [
        ("identity_fp32", "FP32", "fp32_contents", [1.5, float("inf"), -2.25]),
        ("identity_int64", "INT64", "int64_contents", [2**63 - 1, -(2**63), 0]),
        ("identity_bool", "BOOL", "bool_contents", [True, False, True]),
        ("identity_uint8", "UINT8", "uint_contents", [0, 255, 7]),
        ("identity_uint32", "UINT32", "uint_contents", [0, 2**32 - 1, 7]),
        ("simple_identity", "BYTES", "bytes_contents", ["žebra".encode(), b"", b"a"]),
    ],
)
def test_typed_contents_are_answered_in_kind(
    channel: grpc.Channel, model: str, datatype: str, field: str, values: list[Any]
) -> None:
    answer = call(channel, "ModelInfer", infer(model, tensor("INPUT0", datatype, [1, 3], **{field: values}), id="9"))
    assert (answer.model_name, answer.model_version, answer.id) == (model, "1", "9")
    assert list(getattr(answer.outputs[0].contents, field)) == values
    assert list(answer.outputs[0].shape) == [1, 3] and not answer.raw_output_contents


def test_raw_contents_are_answered_in_kind_and_where_asked_for(channel: grpc.Channel) -> None:
    raw = np.array([1.5, 2.5], "<f4").tobytes()
    answer = call(channel, "ModelInfer", infer("identity_fp32", tensor("INPUT0", "FP32", [1, 2]), raw=(raw,)))
    assert list(answer.raw_output_contents) == [raw] and not answer.outputs[0].HasField("contents")
    typed = tensor("INPUT0", "FP32", [1, 2], fp32_contents=[1.5, 2.5])
    asked = infer("identity_fp32", typed, parameters={"binary_data_output": {"bool_param": True}})
    assert list(call(channel, "ModelInfer", asked).raw_output_contents) == [raw]


def test_requested_outputs_and_versions(channel: grpc.Channel) -> None:
    row = np.array([[5.1, 3.5, 1.4, 0.2]], "<f8").tobytes()
    wanted = [{"name": "probabilities"}, {"name": "prediction_id"}]
    asked = infer("iris_model", tensor("X", "FP64", [1, 4]), raw=(row,), outputs=wanted, model_version="1")
    answer = call(channel, "ModelInfer", asked)
    assert [output.name for output in answer.outputs] == ["probabilities", "prediction_id"]
    assert sum(np.frombuffer(answer.raw_output_contents[0], "<f8")) == pytest.approx(1)
    columns = [tensor(f"x{i}", "FP64", [1], fp64_contents=[value]) for i, value in enumerate((5.1, 3.5, 1.4, 0.2))]
    assert list(call(channel, "ModelInfer", infer("iris_model", *columns)).outputs[0].contents.int64_contents) == [0]
    asked.model_version = "2"
    assert refused(channel, "ModelInfer", asked)[:2] == ("NOT_FOUND", "unknown_version")


def test_the_largest_elements_of_an_output(channel: grpc.Channel) -> None:
    typed = tensor("INPUT0", "FP32", [1, 4], fp32_contents=[1, 5, 10, 4])
    wanted = [{"name": "OUTPUT0", "parameters": {"classification": {"int64_param": 2}}}]
    (output,) = call(channel, "ModelInfer", infer("identity_fp32", typed, outputs=wanted)).outputs
    assert list(output.shape) == [1, 2] and list(output.contents.bytes_contents) == [b"10.000000:2", b"5.000000:1"]
    wanted[0]["parameters"]["classification"]["int64_param"] = 0
    code, _, says = refused(channel, "ModelInfer", infer("identity_fp32", typed, outputs=wanted))
    assert code == "INVALID_ARGUMENT" and "at least 1" in says


FOUR = tensor("INPUT0", "FP32", [1, 4])


@pytest.mark.parametrize(
    ("says", "content"),
    [
        ("raw_input_contents for", infer("identity_fp32", FOUR, raw=(bytes(16), bytes(16)))),
        ("must not be specified", infer("identity_fp32", FOUR | {"contents": {"fp32_contents": [1]}}, raw=(bytes(16),))),
        ("Expected 16, got 12", infer("identity_fp32", FOUR, raw=(bytes(12),))),
        ("do not agree", infer("identity_fp32", FOUR)),
        ("FP16", infer("identity_fp16", tensor("INPUT0", "FP16", [1, 1], fp32_contents=[1]))),
        ("range", infer("identity_uint8", tensor("INPUT0", "UINT8", [1, 1], uint_contents=[256]))),
        ("datatype", infer("identity_fp32", tensor("INPUT0", "FLOAT", [1, 1]), raw=(bytes(4),))),
        ("negative", infer("identity_fp32", tensor("INPUT0", "FP32", [-1, 4]), raw=(bytes(16),))),
        ("output", infer("identity_fp32", FOUR, raw=(bytes(16),), outputs=[{"name": "nothing"}])),
        ("no ModelInferRequest", b"\xff\xff\xff\xff"),
        ("inputs", infer("identity_fp32")),
    ],
)
def test_what_does_not_fit_is_an_invalid_argument(channel: grpc.Channel, says: str, content: Any) -> None:
    status, code, text = refused(channel, "ModelInfer", content)
    assert status == "INVALID_ARGUMENT" and code and says in text


def test_statuses(channel: grpc.Channel) -> None:
    unknown = infer("nobody", FOUR, raw=(bytes(16),))
    assert refused(channel, "ModelInfer", unknown)[:2] == ("NOT_FOUND", "unknown_model")
    assert refused(channel, "RepositoryModelLoad", message("RepositoryModelLoadRequest")(model_name="nobody"))[0] == "NOT_FOUND"
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(f"/{SERVICE}/TraceSetting")(b"", timeout=10)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_load_and_unload_as_kserve_names_the_model(channel: grpc.Channel) -> None:
    kserve = {"repository_name": "unloadable"}
    assert call(channel, "RepositoryModelUnload", message("RepositoryModelUnloadRequest")(**kserve)).is_unloaded
    assert not call(channel, "ModelReady", message("ModelReadyRequest")(name="unloadable")).ready
    done = call(channel, "RepositoryModelLoad", message("RepositoryModelLoadRequest")(**kserve))
    assert (done.model_name, done.is_loaded) == ("unloadable", True)


@pytest.mark.parametrize("values", [1, 4_000, 16_000, 20_000])
def test_a_message_of_any_size(channel: grpc.Channel, values: int) -> None:
    """One frame, and several; more than is answered in one frame; more than is read at once."""
    asked = infer("identity_fp32", tensor("INPUT0", "FP32", [1, values]), raw=(bytes(4 * values),))
    assert call(channel, "ModelInfer", asked).raw_output_contents[0] == bytes(4 * values)


def test_compressed_messages(several: Served) -> None:
    asked = infer("identity_fp32", FOUR, raw=(bytes(16),)).SerializeToString()
    for how in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        with grpc.insecure_channel(several.grpc, compression=how) as channel:
            answer = channel.unary_unary(f"/{SERVICE}/ModelInfer", None, message("ModelInferResponse").FromString)(asked)
            assert answer.raw_output_contents[0] == bytes(16)


def test_large_messages_and_too_large_ones(channel: grpc.Channel) -> None:
    shape = [1, 4_000_000]
    answer = call(channel, "ModelInfer", infer("identity_fp32", tensor("INPUT0", "FP32", shape), raw=(bytes(16_000_000),)))
    assert len(answer.raw_output_contents[0]) == 16_000_000
    status, code, text = refused(channel, "ModelInfer", bytes(65 * 2**20))
    assert (status, code) == ("RESOURCE_EXHAUSTED", "too_large") and "bytes" in text
    assert call(channel, "ServerLive", b"").live


def test_health_and_reflection(several: Served, channel: grpc.Channel) -> None:
    for service in (b"", b"\x0a" + bytes([len(SERVICE)]) + SERVICE.encode()):
        assert call(channel, "Check", service, service="grpc.health.v1.Health") == b"\x08\x01"  # SERVING
    reflected = ProtoReflectionDescriptorDatabase(channel)
    assert {SERVICE, "grpc.health.v1.Health"} <= set(reflected.get_services())
    found = DescriptorPool(reflected).FindServiceByName(SERVICE)
    assert "ModelInfer" in found.methods_by_name


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A model whose batches take 0.4 s."""
    folder = echo_folder(tmp_path_factory.mktemp("models") / "slow", delay_s=0.4)
    with serving([folder], grpc_port=free_port()) as served:
        yield served


def number(value: float) -> Any:
    return infer("slow", tensor("x0", "FP64", [1], fp64_contents=[value]))


def test_an_expired_deadline_leaves_the_queue(slow: Served) -> None:
    with grpc.insecure_channel(slow.grpc) as channel:
        stub = channel.unary_unary(f"/{SERVICE}/ModelInfer", None, message("ModelInferResponse").FromString)
        first = stub.future(number(1).SerializeToString(), timeout=30)
        time.sleep(0.1)  # it is with the model; what comes now waits behind it
        ways = [{}, {}, {}, WAYS[0]]
        expired = [stub.future(number(2).SerializeToString(), timeout=0.1, **way) for way in ways]
        assert [one.exception().code() for one in expired] == [grpc.StatusCode.DEADLINE_EXCEEDED] * 4
        assert list(first.result().outputs[0].contents.fp64_contents) == [1]
        assert list(stub(number(3).SerializeToString()).outputs[0].contents.fp64_contents) == [3]
    metrics = httpx.get(f"{slow.url}/metrics").text
    assert 'salver_requests_abandoned_total{model="slow",route="live",version="1"} 4.0' in metrics
    assert 'salver_predictions_total{model="slow",route="live",version="1"} 2.0' in metrics


def test_a_server_says_that_a_deadline_is_over(slow: Served) -> None:
    """Also to a client that does not look at its own clock."""
    stub_of = lambda channel: channel.unary_unary(f"/{SERVICE}/ModelInfer")  # noqa: E731
    with grpc.insecure_channel(slow.grpc) as busy, grpc.insecure_channel(slow.grpc, options=APART) as channel:
        running = stub_of(busy).future(number(1).SerializeToString())
        time.sleep(0.1)
        with pytest.raises(grpc.RpcError) as raised:
            stub_of(channel)(number(2).SerializeToString(), metadata=[("grpc-timeout", "50m")])
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert running.result()


def test_who_cancels_leaves_the_queue(tmp_path: Path) -> None:
    """Or their connection."""
    with serving([echo_folder(tmp_path / "slow", delay_s=0.4)], grpc_port=free_port()) as served:
        with grpc.insecure_channel(served.grpc) as channel, grpc.insecure_channel(served.grpc, options=APART) as other:
            first, second = (one.unary_unary(f"/{SERVICE}/ModelInfer") for one in (channel, other))
            running = first.future(number(1).SerializeToString())
            time.sleep(0.1)  # it is with the model; what comes now waits behind it
            waiting = [stub.future(number(2).SerializeToString()) for stub in (first, second, second)]
            time.sleep(0.1)
            waiting[0].cancel()
            other.close()
            assert running.result()
            assert call(channel, "ServerLive", b"").live
        metrics = httpx.get(f"{served.url}/metrics").text
        assert 'salver_requests_abandoned_total{model="slow",route="live",version="1"} 3.0' in metrics
        served.process.terminate()
        assert served.process.wait(10) == 0  # nobody is thought to be in flight


@pytest.mark.parametrize("timeout_s", [30, None])
def test_stopping_finishes_what_is_in_flight(tmp_path: Path, timeout_s: float | None) -> None:
    folder = echo_folder(tmp_path / "slow", delay_s=0.5)
    with serving([folder], grpc_port=free_port()) as served, grpc.insecure_channel(served.grpc) as channel:
        stub = channel.unary_unary(f"/{SERVICE}/ModelInfer", None, message("ModelInferResponse").FromString)
        asked = stub.future(number(1).SerializeToString(), timeout=timeout_s)
        time.sleep(0.2)
        served.process.terminate()
        assert list(asked.result().outputs[0].contents.fp64_contents) == [1]
        assert served.process.wait(10) == 0


def test_keys_open_over_grpc_what_they_open_over_http(tmp_path: Path) -> None:
    folder, store = echo_folder(tmp_path / "echo"), tmp_path / "store"
    made, key = new_key("caller", ("predict",))
    Keys(open_store(str(store))).add(made)
    with serving([folder], store=store, grpc_port=free_port()) as served, grpc.insecure_channel(served.grpc) as channel:
        asked = infer("echo", tensor("x0", "FP64", [1], fp64_contents=[1.5])).SerializeToString()
        stub = channel.unary_unary(f"/{SERVICE}/ModelInfer", None, message("ModelInferResponse").FromString)
        unload = channel.unary_unary(f"/{SERVICE}/RepositoryModelUnload")
        assert refused(channel, "ModelInfer", asked)[:2] == ("UNAUTHENTICATED", "unauthenticated")
        for shown in (("authorization", f"Bearer {key}"), ("x-api-key", key)):
            assert list(stub(asked, metadata=[shown], timeout=10).outputs[0].contents.fp64_contents) == [1.5]
        with pytest.raises(grpc.RpcError) as raised:
            unload(message("RepositoryModelUnloadRequest")(model_name="echo").SerializeToString(), metadata=[shown])
        assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert call(channel, "ServerLive", b"").live


def test_a_port_that_is_taken_is_said_so(slow: Served, tmp_path: Path) -> None:
    taken = int(slow.grpc.rpartition(":")[2])
    with serving([echo_folder(tmp_path / "other")], grpc_port=taken, wait=False) as served:
        assert served.process.wait(30) == 1
        assert "--grpc-port" in served.output.read_text()
