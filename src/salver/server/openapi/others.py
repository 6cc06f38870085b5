"""The routes of TensorFlow Serving (KServe V1), MLflow, SageMaker and Vertex AI."""

from __future__ import annotations

from typing import Any

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
from salver.server.schemas import Schema, answer_schema, row_schema

_TFS, _MLFLOW = "TensorFlow Serving", "MLflow, SageMaker"
_NUMBER: Schema = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}


def other_schemas() -> dict[str, Schema]:
    """What these routes name."""
    return {"InvocationsError": typed({"error_code": TEXT, "message": TEXT})}


def other_paths(names: list[str], lanes: list[Lane], only: Lane | None) -> dict[str, Any]:
    """Every route of models of these names; `only` is the model that those mean that name none."""
    named = model_parameter(names)
    model = path_parameters(named)
    version = path_parameters(named, ("version", "The number of a version.", _NUMBER))
    label = path_parameters(named, ("label", "An alias, such as champion.", NAME))
    ready = get("ping", "Whether every model can answer", TEXT, media_type="text/plain", tag=_MLFLOW)
    paths: dict[str, Any] = {
        "/": {"get": get("alive", "That the server is alive", typed({"status": TEXT}), tag=_TFS)},
        "/v1/models": {"get": _tfs("v1_models", "The names of the models", typed({"models": listed(TEXT)}))},
        "/ping": {"get": until_ready(ready)},
        "/health": {"get": until_ready(ready) | {"operationId": "health"}},
        "/version": {"get": get("version", "Salver's version", TEXT, media_type="text/plain", tag=_MLFLOW)},
        "/execution-parameters": {"get": get("execution", "What SageMaker asks for batch jobs", OBJECT, tag=_MLFLOW)},
    }
    for suffix, place, parameters in (
        ("", "/v1/models/{model}", model),
        ("_version", "/v1/models/{model}/versions/{version}", version),
        ("_label", "/v1/models/{model}/labels/{label}", label),
    ):
        paths[place] = {"get": _tfs(f"v1_model{suffix}", "The state of its versions", OBJECT) | parameters}
        paths[f"{place}/metadata"] = {"get": _tfs(f"v1_metadata{suffix}", "Its tensors", OBJECT) | parameters}
        if suffix:
            body = {"required": True, "content": {JSON: {"schema": OBJECT}}}
            paths[f"{place}:predict"] = {
                "post": _tfs(f"v1_predict{suffix}", "Predict", OBJECT) | parameters | {"requestBody": body}
            }
    paths |= {f"/v1/models/{lane.model.name}:predict": {"post": _predict(lane)} for lane in lanes}
    return paths | ({"/invocations": {"post": _invocations(only)}} if only else {})


def _predict(lane: Lane) -> Schema:
    name, row = lane.model.name, lane.model.artifact.golden.rows[0]
    asked = typed(
        {"instances": listed(row_schema(lane.model.signature, row)) | {"minItems": 1}, "signature_name": TEXT}, "signature_name"
    )
    is_packed = any(output.name.endswith("_bytes") for output in lane.model.signature.outputs)  # they go in base64
    answer = typed({"predictions": listed(OBJECT if is_packed else answer_schema(lane.model.signature))})
    made = _tfs(f"v1_predict_{name}", f"Predict with {name} by instances", answer)
    made["requestBody"] = {"required": True, "content": {JSON: content(asked, **{"one row": {"instances": [row]}})}}
    return made


def _invocations(lane: Lane) -> Schema:
    signature, row = lane.model.signature, lane.model.artifact.golden.rows[0]
    frame: Schema = typed(
        {
            "columns": {"type": ["array", "null"], "items": TEXT},
            "data": listed({"type": "array"}),
            "index": {"type": ["array", "null"]},
        },
        "columns",
        "index",
    )
    instances = listed(row_schema(signature, row))
    params: Schema = {"params": MAYBE}
    asked: Schema = {
        "oneOf": [
            typed({name: form, **params}, "params") for name, form in (("dataframe_split", frame), ("instances", instances))
        ]
    }
    examples = {
        "a frame": {"dataframe_split": {"columns": signature.names, "data": [row]}},
        "instances": {"instances": [row]},
    }
    made = get("invocations", "Predict as MLflow does", typed({"predictions": listed(answer_schema(signature))}), tag=_MLFLOW)
    made["requestBody"] = {"required": True, "content": {JSON: content(asked, **examples)}}
    made["responses"]["default"] = _wrong("InvocationsError")
    return made


def _tfs(operation: str, summary: str, schema: Schema) -> Schema:
    made = get(operation, summary, schema, tag=_TFS)
    made["responses"]["default"] = _wrong("V2Error")
    return made


def _wrong(schema: str) -> Schema:
    return {"description": "What is wrong.", "content": {JSON: {"schema": reference(schema)}}}
