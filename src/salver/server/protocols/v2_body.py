"""Bodies of V2's infer route ↔ tensors: JSON, with the binary tensor extension. Pure.

A binary body is JSON first, as long as the header `Inference-Header-Content-Length` says, and behind it the bytes of the
tensors that say `binary_data_size`, in their order. Length 0 means: no JSON, but the bytes of the model's only input.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from salver.errors import InputError, SalverError
from salver.server import reading
from salver.server.protocols import raw, tensors
from salver.server.protocols.infer import Codec
from salver.server.protocols.tensors import Tensor

LENGTH_HEADER = "inference-header-content-length"


class _InputParameters(msgspec.Struct):
    binary_data_size: int | None = None


class _Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: Any = UNSET
    parameters: _InputParameters | None = None


class _OutputParameters(msgspec.Struct):
    binary_data: bool = False
    classification: int | None = None


class _Output(msgspec.Struct):
    name: str
    parameters: _OutputParameters | None = None


class _Parameters(msgspec.Struct):
    binary_data_output: bool = False


class _Infer(msgspec.Struct):
    inputs: list[_Input]
    outputs: list[_Output] | None = None
    id: str | None = None
    parameters: _Parameters | None = None


class _Size(msgspec.Struct):
    binary_data_size: int


class _Answered(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    parameters: _Size | UnsetType = UNSET
    data: list[Any] | UnsetType = UNSET


class _Answer(msgspec.Struct):
    model_name: str
    model_version: str
    outputs: list[_Answered]
    id: str | UnsetType = UNSET


class Body(msgspec.Struct):
    """A body that was read. `binary` are the outputs that go back as bytes; None means all."""

    inputs: list[Tensor]
    outputs: list[str]
    binary: frozenset[str] | None
    classify: dict[str, int] = {}
    id: str | UnsetType = UNSET


_decoder = msgspec.json.Decoder(_Infer)
_encode = msgspec.json.Encoder().encode
_NO_OUTPUT: frozenset[str] = frozenset()


def read(codec: Codec, body: bytes, length: str | None) -> Body:
    """A body for `codec`'s model, with the value of its length header. Raises InputError, which never repeats what was sent."""
    if length is None:
        return _decoded(codec, body, None)
    if not length.isdecimal() or int(length) > len(body):
        raise InputError(f"{LENGTH_HEADER} must be the length of the JSON that the body begins with", code="invalid_body")
    if int(length) == 0:
        return Body([_bare(codec, body)], [], None)
    return _decoded(codec, body[: int(length)], memoryview(body)[int(length) :])


def write(codec: Codec, body: Body, outputs: list[Tensor]) -> tuple[bytes, int | None]:
    """The answer to `body`, and the length of its JSON where bytes follow. Raises InputError for what JSON can't hold."""
    answered: list[_Answered] = []
    parts: list[bytes] = []
    for tensor in outputs:
        made = _Answered(tensor.name, tensor.datatype, list(tensor.array.shape))
        if body.binary is None or tensor.name in body.binary:
            parts.append(raw.write(tensor))
            made.parameters = _Size(len(parts[-1]))
        else:
            made.data = tensors.write(tensor.datatype, tensor.array)
        answered.append(made)
    head = _encode(_Answer(codec.name, codec.version, answered, body.id))
    return (b"".join((head, *parts)), len(head)) if parts else (head, None)


def error_body(error: SalverError) -> bytes:
    """An error as V2 clients expect it."""
    return _encode({"error": error.message})


def _decoded(codec: Codec, head: bytes, rest: memoryview | None) -> Body:
    asked = reading.read(_decoder, head, codec.limits)
    inputs: list[Tensor] = []
    place = 0
    for tensor in asked.inputs:
        name, size = codec.called(tensor.name), tensor.parameters and tensor.parameters.binary_data_size
        if size is None:
            if tensor.data is UNSET:
                raise InputError(f"input '{name}' has no \"data\"", code="invalid_body", column=name)
            array = tensors.read(name, tensor.datatype, tensor.shape, tensor.data)
        else:
            if tensor.data is not UNSET:
                raise InputError(f"input '{name}' has \"data\" and bytes; send one of them", code="invalid_body")
            if rest is None or size < 0 or place + size > len(rest):
                raise InputError(f"unexpected size for input '{name}': its bytes are not behind the JSON", code="invalid_body")
            array = raw.read(name, tensor.datatype, tensor.shape, rest[place : place + size])
            place += size
        inputs.append(Tensor(tensor.name, tensor.datatype, array))
    if rest is not None and place != len(rest):
        raise InputError("unexpected additional input data behind the inputs' own bytes", code="invalid_body")
    asked_id = UNSET if asked.id is None else asked.id
    return Body(inputs, [output.name for output in asked.outputs or ()], _binary(asked), _classify(asked), asked_id)


def _binary(asked: _Infer) -> frozenset[str] | None:
    """Where outputs are listed, each says it for itself, and the request's own word does not count."""
    if asked.outputs:
        binary = [output.name for output in asked.outputs if output.parameters and output.parameters.binary_data]
        return frozenset(binary)
    return None if asked.parameters and asked.parameters.binary_data_output else _NO_OUTPUT


def _classify(asked: _Infer) -> dict[str, int]:
    said = [(output.name, output.parameters.classification) for output in asked.outputs or () if output.parameters]
    return {name: count for name, count in said if count is not None}


def _bare(codec: Codec, body: bytes) -> Tensor:
    """The only input's bytes, whose shape follows from their number."""
    declared = codec.inputs()
    if len(declared) != 1:
        raise InputError(
            f"model '{codec.name}' takes {len(declared)} inputs; only one can come as bare bytes", code="invalid_body"
        )
    name, datatype, shape = declared[0].name, declared[0].datatype, declared[0].shape
    if datatype == "BYTES":
        raise InputError(f"input '{name}' has text; only numbers can come as bare bytes", code="invalid_body")
    free = [i for i, size in enumerate(shape) if size < 0]
    row_bytes = math.prod(size for size in shape if size >= 0) * raw.size_bytes(datatype)
    if not row_bytes or len(body) % row_bytes:
        raise InputError(f"the body is no whole number of rows of input '{name}'", code="wrong_shape", column=name)
    for i in free:  # the last one takes all there is: the rows, or the length of the only row
        shape[i] = len(body) // row_bytes if i == free[-1] else 1
    return Tensor(name, datatype, raw.read(name, datatype, shape, body))
