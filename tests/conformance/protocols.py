"""The ways over the wire in which the same rows can be asked, each from columns of Python values to predictions."""

from __future__ import annotations

import io
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from salver.server.formats import media
from salver.server.protocols import raw, tensors
from salver.server.protocols.infer import Codec
from salver.server.protocols.tensors import Tensor
from salver.server.rpc import infer
from salver.server.rpc.messages import message
from salver.types.signature import Output, Signature

Table = dict[str, list[Any]]
Client = httpx.AsyncClient
Way = Callable[[Client, Codec, Table], Awaitable[list[Any]]]

NAME = "subject"
SAGEMAKER = "sagemaker"
"""A host that is one of its containers."""
VERTEX = "/vertex"
_V2 = f"/v2/models/{NAME}/infer"


def given(codec: Codec, table: Table) -> list[Tensor]:
    """The table as V2's inputs: one matrix where the model takes one, else one for each column."""
    signature = codec.lane.model.signature
    declared = {one.name: one.datatype for one in codec.inputs()}
    if declared.keys() != table.keys():
        matrix = np.array([[np.nan if v is None else float(v) for v in column] for column in table.values()]).T
        return [Tensor("X", "FP64", np.ascontiguousarray(matrix))]
    made: list[Tensor] = []
    for column in signature.columns:
        datatype, values = declared[column.name], table[column.name]
        if datatype == "BYTES" and not all(value is None or isinstance(value, str) for value in values):
            raise ValueError("labels of several kinds")
        if datatype.startswith("FP"):
            array = np.array([np.nan if value is None else value for value in values], tensors.NUMPY[datatype])
        else:
            array = np.array(values, tensors.NUMPY[datatype])
        made.append(Tensor(column.name, datatype, array))
    return made


def nested(output: Output, shape: list[int], flat: list[Any]) -> list[Any]:
    made = np.empty(len(flat), object)
    made[:] = flat
    return made.reshape(shape).tolist()


async def v2_json(client: Client, codec: Codec, table: Table) -> list[Any]:
    inputs = [
        {"name": name, "datatype": datatype, "shape": list(array.shape), "data": array.reshape(-1).tolist()}
        for name, datatype, array in given(codec, table)
    ]
    return v2_answer(await ok(client, _V2, json.dumps({"inputs": inputs}).encode()))


def v2_answer(response: httpx.Response) -> list[Any]:
    output = next(one for one in response.json()["outputs"] if one["name"] == "prediction")
    return nested(output, output["shape"], output["data"])


async def v2_binary(client: Client, codec: Codec, table: Table) -> list[Any]:
    tensors_given = given(codec, table)
    parts = [raw.write(tensor) for tensor in tensors_given]
    inputs = [
        {"name": t.name, "datatype": t.datatype, "shape": list(t.array.shape), "parameters": {"binary_data_size": len(part)}}
        for t, part in zip(tensors_given, parts, strict=True)
    ]
    outputs = [{"name": "prediction", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": inputs, "outputs": outputs}).encode()
    sent = {"inference-header-content-length": str(len(head))}
    response = await ok(client, _V2, head + b"".join(parts), sent)
    length = int(response.headers["inference-header-content-length"])
    (output,) = json.loads(response.content[:length])["outputs"]
    return raw.read("prediction", output["datatype"], output["shape"], response.content[length:]).tolist()


async def grpc_raw(client: Client, codec: Codec, table: Table) -> list[Any]:
    inputs = given(codec, table)
    declared = [{"name": t.name, "datatype": t.datatype, "shape": t.array.shape} for t in inputs]
    return await called(codec, message("ModelInferRequest")(inputs=declared, raw_input_contents=map(raw.write, inputs)))


async def grpc_typed(client: Client, codec: Codec, table: Table) -> list[Any]:
    request = message("ModelInferRequest")()
    for tensor in given(codec, table):
        made = request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.array.shape)
        getattr(made.contents, infer._FIELDS[tensor.datatype]).extend(infer._elements(tensor))
    return await called(codec, request)


async def called(codec: Codec, request: Any) -> list[Any]:
    """Ask through the messages of gRPC, read from their bytes as those of a client are."""
    from salver.server.asking import AskedRequest, answered

    kind = message("ModelInferRequest")
    request.outputs.add(name="prediction")
    request = kind.FromString(request.SerializeToString())
    question = infer.question(codec, request)
    asked = AskedRequest(
        rows=question.rows, columns=question.columns, count=question.count, size_bytes=0, arrived_ns=0, source="grpc"
    )
    batch, start = await answered(codec.lane, asked)
    answer = message("ModelInferResponse").FromString(
        infer.write(codec, request, codec.answer(question, batch, start)).SerializeToString()
    )
    (output,) = answer.outputs
    shape = list(output.shape)
    if answer.raw_output_contents:
        return raw.read("prediction", output.datatype, shape, answer.raw_output_contents[0]).tolist()
    values = list(getattr(output.contents, infer._FIELDS[output.datatype]))
    return nested(output, shape, [v.decode() if isinstance(v, bytes) else v for v in values])


async def tfs_rows(client: Client, codec: Codec, table: Table) -> list[Any]:
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    return (await ok(client, f"/v1/models/{NAME}:predict", json.dumps({"instances": rows}).encode())).json()["predictions"]


async def tfs_columns(client: Client, codec: Codec, table: Table) -> list[Any]:
    return (await ok(client, f"/v1/models/{NAME}:predict", json.dumps({"inputs": table}).encode())).json()["outputs"]


async def mlflow_split(client: Client, codec: Codec, table: Table) -> list[Any]:
    frame = {"columns": list(table), "data": rows_of(table)}
    body = json.dumps({"dataframe_split": frame}).encode()
    return (await ok(client, "/invocations", body, {"content-type": "application/json"})).json()["predictions"]


async def vertex(client: Client, codec: Codec, table: Table) -> list[Any]:
    body = json.dumps({"instances": rows_of(table), "parameters": {}}).encode()
    return (await ok(client, VERTEX, body)).json()["predictions"]


async def sagemaker_json(client: Client, codec: Codec, table: Table) -> list[Any]:
    return (await ok(client, f"http://{SAGEMAKER}/invocations", json.dumps(rows_of(table)).encode())).json()


async def sagemaker_csv(client: Client, codec: Codec, table: Table) -> list[Any]:
    sink, bare = io.BytesIO(), pyarrow.csv.WriteOptions(include_header=False)
    pyarrow.csv.write_csv(arrow_table(codec.lane.model.signature, table), sink, bare)
    sent = {"content-type": "text/csv"}
    return (await ok(client, f"http://{SAGEMAKER}/models/{NAME}/invoke", sink.getvalue(), sent)).json()


def rows_of(table: Table) -> list[list[Any]]:
    return [list(row) for row in zip(*table.values(), strict=True)]


async def csv(client: Client, codec: Codec, table: Table) -> list[Any]:
    sink = io.BytesIO()
    pyarrow.csv.write_csv(arrow_table(codec.lane.model.signature, table), sink)
    return await by_table(client, "csv", sink.getvalue())


async def lines(client: Client, codec: Codec, table: Table) -> list[Any]:
    rows = (dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True))
    return await by_table(client, "lines", b"\n".join(json.dumps(row).encode() for row in rows))


async def arrow(client: Client, codec: Codec, table: Table) -> list[Any]:
    made, sink = arrow_table(codec.lane.model.signature, table), io.BytesIO()
    with pa.ipc.new_stream(sink, made.schema) as stream:
        stream.write_table(made)
    return await by_table(client, "arrow", sink.getvalue())


async def parquet(client: Client, codec: Codec, table: Table) -> list[Any]:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(arrow_table(codec.lane.model.signature, table), sink)
    return await by_table(client, "parquet", sink.getvalue())


def arrow_table(signature: Signature, table: Table) -> pa.Table:
    kinds = {c.name: pa.float64() if c.is_number and c.dtype.startswith("float") else None for c in signature.columns}
    return pa.table({name: pa.array(values, kinds[name]) for name, values in table.items()})


async def by_table(client: Client, name: media.Name, body: bytes) -> list[Any]:
    sent = {"content-type": media.media_type(name), "accept": "application/json"}
    return (await ok(client, f"/models/{NAME}/predict", body, sent)).json()["predictions"]


async def ok(client: Client, path: str, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    response = await client.post(path, content=body, headers=headers)
    assert response.status_code == 200, (path, response.text)
    return response


WAYS: dict[str, Way] = {
    "V2, JSON": v2_json,
    "V2, bytes": v2_binary,
    "gRPC, raw": grpc_raw,
    "gRPC, typed": grpc_typed,
    "TensorFlow Serving, rows": tfs_rows,
    "TensorFlow Serving, columns": tfs_columns,
    "MLflow": mlflow_split,
    "Vertex AI": vertex,
    "SageMaker, JSON": sagemaker_json,
    "SageMaker, CSV": sagemaker_csv,
    "CSV": csv,
    "JSON lines": lines,
    "Arrow": arrow,
    "Parquet": parquet,
}
