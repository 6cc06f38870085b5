"""ModelInfer's messages ↔ tensors. Pure.

Whoever sends raw contents is answered in raw contents, and whoever sends typed ones in typed ones, but for FP16, which has no
typed form. The request parameter `binary_data_output` makes an answer raw whatever was sent.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salver.errors import InputError
from salver.server.protocols import raw
from salver.server.protocols.infer import Codec, Question
from salver.server.protocols.tensors import Tensor, array_of_elements, check_shape, disagreement, dtype_of
from salver.server.rpc.messages import message

_FIELDS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Where a datatype's elements lie in typed contents."""


def question(codec: Codec, request: Any) -> Question:
    """What a ModelInferRequest asks. Raises InputError, which is counted."""
    try:
        return codec.question(*read(codec, request), _classify(request))
    except InputError as error:
        codec.lane.stats.errors[error.code] += 1
        raise


def read(codec: Codec, request: Any) -> tuple[list[Tensor], list[str]]:
    """The inputs and the wanted outputs of a ModelInferRequest. Raises InputError, which never repeats what was sent."""
    contents = request.raw_input_contents
    if contents and len(contents) != len(request.inputs):
        raise InputError(f"{len(contents)} raw_input_contents for {len(request.inputs)} inputs", code="invalid_body")
    inputs: list[Tensor] = []
    for i, given in enumerate(request.inputs):
        name, datatype, shape = codec.called(given.name), given.datatype, list(given.shape)
        if not contents:
            array = _typed(name, datatype, shape, given.contents)
        elif given.HasField("contents"):
            raise InputError(
                f"contents field must not be specified when using raw_input_contents for '{name}'", code="invalid_body"
            )
        else:
            array = raw.read(name, datatype, shape, contents[i])
        inputs.append(Tensor(given.name, datatype, array))
    return inputs, [output.name for output in request.outputs]


def write(codec: Codec, request: Any, outputs: list[Tensor]) -> Any:
    """The ModelInferResponse to `request`."""
    answer = message("ModelInferResponse")(model_name=codec.name, model_version=codec.version, id=request.id)
    is_raw = bool(request.raw_input_contents) or _wants_raw(request) or any(output.datatype == "FP16" for output in outputs)
    for tensor in outputs:
        made = answer.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.array.shape)
        if is_raw:
            answer.raw_output_contents.append(raw.write(tensor))
        else:
            getattr(made.contents, _FIELDS[tensor.datatype]).extend(_elements(tensor))
    return answer


def _classify(request: Any) -> dict[str, int]:
    name = "classification"
    return {output.name: output.parameters[name].int64_param for output in request.outputs if name in output.parameters}


def _wants_raw(request: Any) -> bool:
    return bool(request.parameters) and request.parameters["binary_data_output"].bool_param


def _typed(name: str, datatype: str, shape: list[int], contents: Any) -> NDArray[Any]:
    dtype = dtype_of(name, datatype)
    check_shape(name, shape)
    field = _FIELDS.get(datatype)
    if field is None:
        raise InputError(f"input '{name}': {datatype} can only be sent in raw_input_contents", code="wrong_type", column=name)
    values: list[Any] = list(getattr(contents, field))
    if len(values) != math.prod(shape):
        raise disagreement(name)
    if datatype == "BYTES":
        values = [raw.text_of(name, value) for value in values]
    return array_of_elements(name, datatype, dtype, shape, values)


def _elements(tensor: Tensor) -> list[Any]:
    flat = tensor.array.reshape(-1)
    if tensor.datatype != "BYTES":
        return np.asarray(flat).tolist()
    return [b"" if value is None else str(value).encode() for value in flat.tolist()]
