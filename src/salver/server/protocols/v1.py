"""TensorFlow Serving's REST API, which is KServe's V1 protocol too.

A prediction is the model's main output. Where it has probabilities or scores too, the signature of that name gives them.
"""

from __future__ import annotations

import base64
import binascii
import time
from typing import Any, Literal, cast

import msgspec
from msgspec import UNSET
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from salver.engine.batch import Batch
from salver.engine.lane import Lane
from salver.errors import InputError, NotFound, SalverError
from salver.server import reading
from salver.server.asking import ask
from salver.server.body import read_body
from salver.server.problems import headers_of
from salver.server.protocols import v2_body
from salver.server.protocols.codecs import Codecs
from salver.server.protocols.infer import TensorMetadata, error_status
from salver.server.protocols.rows import RowCodec
from salver.types.reference import Reference
from salver.types.rows import Row
from salver.types.signature import Output

PREFIX = "/v1"
DEFAULT = "serving_default"
_JSON = "application/json"
_LARGEST = 2**63 - 1
_BYTES = "_bytes"  # TensorFlow's outputs of that ending are bytes, and go in base64


Form = Literal["rows", "columns", "value"]
"""How a question has its rows, and so its answer: row by row, by column, or as the only row's only value."""


class _Predict(msgspec.Struct):
    instances: Any = UNSET
    inputs: Any = UNSET
    signature_name: str = DEFAULT


_decoder = msgspec.json.Decoder(_Predict)


def respond(error: SalverError) -> Response:
    """An error as TensorFlow Serving writes it."""
    return Response(v2_body.error_body(error), error_status(error), headers_of(error), _JSON)


class V1Face:
    """The handlers of the V1 routes."""

    def __init__(self, codecs: Codecs) -> None:
        self._codecs = codecs

    def routes(self) -> list[Route]:
        model = "/v1/models/{model}"
        places = (model, f"{model}/versions/{{version}}", f"{model}/labels/{{label}}")
        return [
            Route("/", self.alive),
            Route("/v1/models", self.models),
            *(Route(f"{place}:predict", self.predict, methods=["POST"]) for place in places),
            *(Route(f"{place}:{{verb}}", self.unknown, methods=["POST"]) for place in places),
            *(Route(f"{place}:{{verb}}", self.asked_by_get) for place in places),
            *(Route(f"{place}/metadata", self.metadata) for place in places),
            *(Route(place, self.status) for place in places),
        ]

    async def alive(self, http: Request) -> Response:
        return _json({"status": "alive"})

    async def models(self, http: Request) -> Response:
        return _json({"models": list(self._codecs.engine.states)})

    async def status(self, http: Request) -> Response:
        lane = self._find(http)
        named = {"version", "label"} & http.path_params.keys()
        versions = [str(lane.model.version)] if named else self._codecs.versions(lane.model.name)[::-1]
        state = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        statuses = [{"version": version, **state} for version in versions]
        return _json({"name": lane.model.name, "ready": True, "model_version_status": statuses})

    async def metadata(self, http: Request) -> Response:
        lane = self._find(http)
        codec = self._codecs.of(lane)
        described = codec.metadata([])
        signature = {
            "inputs": {tensor.name: _described(tensor) for tensor in described.inputs},
            "outputs": {tensor.name: _described(tensor) for tensor in described.outputs},
            "method_name": "tensorflow/serving/predict",
        }
        spec = {"name": codec.name, "signature_name": "", "version": codec.version}
        return _json({"model_spec": spec, "metadata": {"signature_def": {"signature_def": {DEFAULT: signature}}}})

    async def predict(self, http: Request) -> Response:
        arrived_ns = time.perf_counter_ns()
        with self._find(http).held() as lane:
            codec = RowCodec(lane, self._codecs.limits)
            content = await read_body(http)
            lane.require_room(len(content))
            asked = reading.read(_decoder, content, self._codecs.limits)
            outputs = _outputs(codec, asked.signature_name)
            form, rows = _rows(codec, asked)
            batch, start = await ask(http, lane, arrived_ns=arrived_ns, size_bytes=len(content), count=len(rows), rows=rows)
        return _json(_answer(codec, outputs, form, batch, start, len(rows)))

    async def unknown(self, http: Request) -> Response:
        raise NotFound("Malformed request: of the verbs of a model, only :predict is known here")

    async def asked_by_get(self, http: Request) -> Response:
        raise HTTPException(405, headers={"Allow": "POST"})

    def _find(self, http: Request) -> Lane:
        parts = http.path_params
        name, version, label = parts["model"], parts.get("version", ""), parts.get("label", "")
        if version and not (version.isdecimal() and int(version) <= _LARGEST):
            raise InputError("Failed to convert version: it is no number of 64 bits", code="invalid_reference")
        which = version or label
        try:
            return self._codecs.lane(Reference.parse(f"{name}@{which}" if which else name), http.headers.get)
        except NotFound as error:
            if label and error.code == "unknown_version":
                raise InputError(f"Unrecognized servable version label: {label}", code="invalid_reference") from error
            servable = f"Specific({name}, {version})" if version else f"Latest({name})"
            raise NotFound(f"Servable not found for request: {servable}", code=error.code) from error


def _outputs(codec: RowCodec, signature: str) -> list[Output]:
    if signature in ("", DEFAULT):
        return codec.outputs
    found = codec.lane.model.signature.output(signature)
    if found is None:
        raise InputError(f"Serving signature name not found in signature def; this model has '{DEFAULT}'", code="invalid_body")
    return [found]


def _rows(codec: RowCodec, asked: _Predict) -> tuple[Form, list[Row]]:
    """How it was asked, and the checked rows. Raises InputError."""
    if (asked.instances is UNSET) == (asked.inputs is UNSET):
        raise InputError("the body must have exactly one of 'instances' (by row) and 'inputs' (by column)", code="invalid_body")
    given = _unpacked(asked.inputs if asked.instances is UNSET else asked.instances)
    if asked.instances is not UNSET:
        if not isinstance(given, list):
            raise InputError('Expected "instances" to be a list', code="invalid_body")
        if not given:
            raise InputError("No values in 'instances' array", code="invalid_body")
        listed = cast("list[Any]", given)
        if len({isinstance(row, dict) for row in listed}) > 1:
            raise InputError("Expecting every instance to be an object, or none of them", code="invalid_body")
        return "rows", codec.by_row(listed)
    if isinstance(given, dict):
        named = cast("dict[str, Any]", given)
        if len(codec.names) == 1 == len(named) and not any(isinstance(value, list) for value in named.values()):
            return "value", codec.by_row([named])
        return "columns", codec.by_column(named)
    if isinstance(given, list):
        return "columns", codec.by_row(cast("list[Any]", given))
    if len(codec.names) > 1:
        raise InputError('"inputs" must be a list, or an object of lists by input name', code="invalid_body")
    return "value", codec.by_row([given])


def _answer(codec: RowCodec, outputs: list[Output], form: Form, batch: Batch, start: int, count: int) -> dict[str, Any]:
    values = {output.name: _packed(output, codec.values(output, batch, start, count)) for output in outputs}
    if form == "rows":
        only = len(values) == 1
        rows = (
            next(iter(values.values()))
            if only
            else [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
        )
        return {"predictions": rows}
    if form == "value":
        values = {name: column[0] for name, column in values.items()}
    return {"outputs": next(iter(values.values())) if len(values) == 1 else values}


def _unpacked(value: Any) -> Any:
    """The same, with {"b64": …} as the text it is the base64 of. Raises InputError."""
    if isinstance(value, list):
        return [_unpacked(part) for part in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    named = cast("dict[str, Any]", value)
    if named.keys() != {"b64"}:
        return {name: _unpacked(part) for name, part in named.items()}
    try:
        return base64.b64decode(named["b64"], validate=True).decode()
    except (TypeError, ValueError, binascii.Error) as error:
        raise InputError("a value under 'b64' is not the base64 of text in UTF-8", code="wrong_type") from error


def _packed(output: Output, values: list[Any]) -> list[Any]:
    return [_base64(value) for value in values] if output.name.endswith(_BYTES) else values


def _base64(value: Any) -> Any:
    if isinstance(value, list):
        return [_base64(part) for part in cast("list[Any]", value)]
    return {"b64": base64.b64encode(value.encode()).decode()} if isinstance(value, str) else value


def _described(tensor: TensorMetadata) -> dict[str, Any]:
    kinds = {"BYTES": "DT_STRING", "FP16": "DT_HALF", "FP32": "DT_FLOAT", "FP64": "DT_DOUBLE"}
    sizes = [{"size": str(size), "name": ""} for size in tensor.shape]
    dtype = kinds.get(tensor.datatype, f"DT_{tensor.datatype}")
    return {"dtype": dtype, "tensor_shape": {"dim": sizes, "unknown_rank": False}, "name": tensor.name}


def _json(content: Any) -> Response:
    return Response(msgspec.json.encode(content), media_type=_JSON)
