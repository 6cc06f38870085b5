"""What a user of the KServe SDK runs: `python kserve_client.py URL HOST:PORT`. It prints what it was told."""

from __future__ import annotations

import asyncio
import json
import sys

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig


def request(binary: bool) -> InferRequest:
    inputs: list[InferInput] = []
    for name, values in (("INPUT0", np.arange(16, dtype=np.int32)[None]), ("INPUT1", np.ones((1, 16), np.int32))):
        made = InferInput(name, [1, 16], "INT32")
        made.set_data_from_numpy(values, binary_data=binary)
        inputs.append(made)
    return InferRequest(model_name="simple", infer_inputs=inputs)


async def main(url: str, address: str) -> None:
    told: dict[str, object] = {}
    v2 = InferenceRESTClient(RESTConfig(protocol="v2"))
    told["live"] = await v2.is_server_live(url)
    told["ready"] = await v2.is_server_ready(url)
    told["model"] = await v2.is_model_ready(url, "simple")
    for binary in (False, True):
        answer = await v2.infer(url, request(binary), model_name="simple")
        told[f"rest {binary}"] = answer.outputs[0].as_numpy().tolist()
    await v2.close()
    async with InferenceGRPCClient(url=address) as grpc:
        told["grpc ready"] = [await grpc.is_server_ready(), await grpc.is_model_ready("simple")]
        for binary in (False, True):
            answer = await grpc.infer(request(binary))
            told[f"grpc {binary}"] = answer.outputs[1].as_numpy().tolist()
    v1 = InferenceRESTClient(RESTConfig(protocol="v1"))
    told["v1 model"] = await v1.is_model_ready(url, "iris_model")
    rows = {"instances": [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]}
    told["v1"] = (await v1.infer(url, rows, model_name="iris_model"))["predictions"]
    await v1.close()
    print(json.dumps(told))


asyncio.run(main(*sys.argv[1:]))
