"""The routes of the Open Inference Protocol V2, typed for each model."""

from __future__ import annotations

from typing import Any

import numpy as np

from salver.engine.lane import Lane
from salver.server.openapi.parts import (
    JSON,
    MAYBE,
    NAME,
    OBJECT,
    TEXT,
    content,
    get,
    listed,
    model_parameter,
    path_parameters,
    reference,
    typed,
    until_ready,
)
from salver.server.protocols.infer import Codec, TensorMetadata
from salver.server.protocols.tensors import NUMPY, write
from salver.server.schemas import Schema
from salver.server.settings import Limits

TAG = "Open Inference Protocol V2"
_ERROR = "V2Error"


def v2_paths(names: list[str], lanes: list[Lane]) -> dict[str, Any]:
    """Every route of models of these names; infer for each model by its name, and for its versions."""
    named = model_parameter(names)
    one, version = path_parameters(named), path_parameters(named, ("version", "One version of it, by number or alias.", NAME))
    ready = typed({"ready": {"type": "boolean"}})
    done = typed({"name": TEXT, "load": {"type": "boolean"}, "unload": {"type": "boolean"}}, "load", "unload")
    paths: dict[str, Any] = {
        "/v2": {"get": _get("v2_server", "The server", OBJECT)},
        "/v2/health/live": {"get": _get("v2_live", "Whether the process runs", typed({"live": {"type": "boolean"}}))},
        "/v2/health/ready": {"get": until_ready(_get("v2_ready", "Whether every model can answer", ready))},
        "/v2/models": {"get": _get("v2_models", "The names of the models", typed({"models": listed(TEXT)}))},
        "/v2/models/stats": {"get": _get("v2_stats", "Counts of every model", OBJECT)},
        "/v2/repository/index": {
            "post": _asking(
                _get("v2_index", "The versions of the models", listed(OBJECT)), typed({"ready": {"type": "boolean"}}, "ready")
            )
        },
        "/v2/repository/models/{model}/load": {"post": _get("v2_load", "Wake a model", done) | one},
        "/v2/repository/models/{model}/unload": {"post": _get("v2_unload", "Let a model go", done) | one},
    }
    for prefix, suffix, parameters in (
        ("/v2/models/{model}", "", one),
        ("/v2/models/{model}/versions/{version}", "_version", version),
    ):
        paths[prefix] = {"get": _get(f"v2_model{suffix}", "The model's tensors", OBJECT) | parameters}
        for name, summary in (
            ("ready", "Whether it can answer"),
            ("stats", "Counts of the model"),
            ("config", "Its configuration"),
        ):
            paths[f"{prefix}/{name}"] = {"get": _get(f"v2_model_{name}{suffix}", summary, OBJECT) | parameters}
    body = {"required": True, "content": {JSON: {"schema": reference("V2Request")}}}
    infer = _get("v2_infer_version", "Predict by tensors", reference("V2Answer"))
    paths["/v2/models/{model}/versions/{version}/infer"] = {"post": infer | version | {"requestBody": body}}
    return paths | {f"/v2/models/{lane.model.name}/infer": {"post": _infer(lane)} for lane in lanes}


def v2_schemas(lanes: list[Lane]) -> dict[str, Schema]:
    """What they name."""
    tensor: Schema = {
        "name": TEXT,
        "datatype": {"enum": list(NUMPY)},
        "shape": listed({"type": "integer", "minimum": 0}),
        "data": {"type": "array", "description": "In row-major order, flat or nested as the shape."},
    }
    tensors, more = listed(typed(tensor)), {"id": {"type": ["string", "null"]}, "parameters": MAYBE, "outputs": _wanted(TEXT)}
    made: dict[str, Schema] = {
        "V2Request": typed({**more, "inputs": tensors | {"minItems": 1}}, *more),
        "V2Answer": typed({"model_name": TEXT, "model_version": TEXT, "id": TEXT, "outputs": tensors}, "id"),
        _ERROR: typed({"error": TEXT}),
    }
    for lane in lanes:
        declared = Codec(lane, Limits())
        inputs, outputs = declared.inputs(), declared.metadata([]).outputs
        given = {
            "type": "array",
            "prefixItems": [_tensor(one) for one in inputs],
            "minItems": len(inputs),
            "maxItems": len(inputs),
        }
        if len(inputs) == 1 < len(lane.model.signature.columns):
            given = {"anyOf": [given, tensors | {"minItems": len(lane.model.signature.columns)}]}
        wanted = _wanted({"enum": [one.name for one in outputs]})
        made[f"{lane.model.name}.V2Request"] = typed({**more, "outputs": wanted, "inputs": given}, *more)
        answered = {"type": "array", "items": {"anyOf": [_tensor(one) for one in outputs] + [_tensor(_ID)]}}
        about: Schema = {"model_name": {"const": lane.model.name}, "model_version": TEXT, "id": TEXT}
        made[f"{lane.model.name}.V2Answer"] = typed({**about, "outputs": answered}, "id")
    return made


_ID = TensorMetadata("prediction_id", "BYTES", [-1])


def _tensor(declared: TensorMetadata) -> Schema:
    sizes = [{"type": "integer", "minimum": 0} | ({} if size < 0 else {"const": size}) for size in declared.shape]
    shape: Schema = {"type": "array", "prefixItems": sizes, "minItems": len(sizes)}
    return typed({"name": {"const": declared.name}, "datatype": TEXT, "shape": shape, "data": {"type": "array"}})


def _infer(lane: Lane) -> Schema:
    name = lane.model.name
    made = _get(f"v2_infer_{name}", f"Predict with {name} by tensors", reference(f"{name}.V2Answer"))
    example = example_of(lane)
    examples = {"one row": example} if example else {}
    made["requestBody"] = {"required": True, "content": {JSON: content(reference(f"{name}.V2Request"), **examples)}}
    return made


def example_of(lane: Lane) -> Schema | None:
    """A question that works: the first golden row as tensors. None for a model whose tensors JSON can't hold."""
    model = lane.model
    row, inputs = model.artifact.golden.rows[0], Codec(lane, Limits()).inputs()
    columns = model.checker.columns([model.checker.check(row)])
    if len(inputs) < len(columns):
        columns = {inputs[0].name: np.stack([np.asarray(array, np.float64) for array in columns.values()], axis=1)}
    floats = [array for array in columns.values() if array.dtype.kind == "f"]
    if any(declared.datatype == "FP16" for declared in inputs) or any(np.isinf(array).any() for array in floats):
        return None
    return {
        "inputs": [
            {
                "name": declared.name,
                "shape": list(columns[declared.name].shape),
                "datatype": declared.datatype,
                "data": [None if value != value else value for value in write(declared.datatype, columns[declared.name])],
            }
            for declared in inputs
        ]
    }


def _wanted(name: Schema) -> Schema:
    """The outputs that are asked for; all where that is nothing or null."""
    return {"type": ["array", "null"], "items": typed({"name": name})}


def _asking(operation: Schema, schema: Schema) -> Schema:
    return operation | {"requestBody": {"content": {JSON: {"schema": schema}}}}


def _get(operation: str, summary: str, schema: Schema) -> Schema:
    made = get(operation, summary, schema, tag=TAG)
    made["responses"]["default"] = {"description": "What is wrong.", "content": {JSON: {"schema": reference(_ERROR)}}}
    return made
