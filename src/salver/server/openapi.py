"""GET /openapi.json: OpenAPI 3.1, typed for the models that are served right now."""

from __future__ import annotations

from typing import Any

from salver.engine.engine import Engine
from salver.engine.lane import Lane
from salver.server.meanings import MEANING
from salver.server.predict import KEY_CHARACTERS
from salver.server.problems import MEDIA_TYPE, STATUS, TITLES
from salver.server.protocols.tensors import NUMPY
from salver.server.schemas import Schema, answer_schema, output_schema, row_schema
from salver.version import __version__

_JSON = "application/json"
_TEXT = {"type": "string"}
_OBJECT = {"type": "object"}


def document(engine: Engine) -> dict[str, Any]:
    """The whole document. Its examples work as they stand."""
    lanes = newest(engine)
    paths: dict[str, Any] = {}
    schemas: dict[str, Schema] = {"Problem": _problem(sorted(STATUS)), **_v2_schemas()}
    for lane in lanes:
        name = lane.model.name
        schemas |= {f"{name}.Request": _request(lane), f"{name}.Answer": _answer(lane)}
        paths[f"/models/{name}/predict"] = {"post": _predict(lane, f"predict_{name}")}
    if len(lanes) == 1 == len(engine.states):
        paths = {"/predict": {"post": _predict(lanes[0], "predict")}, **paths}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Salver", "version": __version__, "description": "Predictions of the models served here."},
        "servers": [{"url": "/"}],
        "paths": _behind_the_door({**paths, **_plain_paths(), **_v2_paths()}),
        "security": [{}, {"bearer": []}, {"header": []}],
        "components": {
            "schemas": schemas,
            "responses": {str(status): _failure(status) for status in TITLES},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, where the server wants one."},
                "header": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same key."},
            },
        },
    }


def _behind_the_door(paths: dict[str, Any]) -> dict[str, Any]:
    """The paths, with what a caller is told who may not call them, or not so often; in V2, `default` says that."""
    for path, operations in paths.items():
        for operation in operations.values():
            if "responses" in operation and "/health/" not in path and "default" not in operation["responses"]:
                operation["responses"] |= _failures(401, 403, 429)
    return paths


def newest(engine: Engine) -> list[Lane]:
    """The lane of each model's newest version."""
    return [versions[max(versions)] for versions in engine.lanes.values()]


def _predict(lane: Lane, operation: str) -> Schema:
    name, rows = lane.model.name, lane.model.artifact.golden.rows
    names = lane.model.signature.names
    examples: dict[str, Any] = {"one row": {"features": rows[0]}, "several rows": {"instances": rows[:2]}}
    if len(names) > 1:
        examples["one row by name"] = {"features": dict(zip(names, rows[0], strict=True))}
    return {
        "operationId": operation,
        "summary": f"Predict with {name}",
        "tags": [name],
        "requestBody": {
            "required": True,
            "content": {
                _JSON: {
                    "schema": _reference(f"{name}.Request"),
                    "examples": {title: {"value": value} for title, value in examples.items()},
                }
            },
        },
        "responses": {
            "200": {"description": "The prediction of each row.", "content": {_JSON: {"schema": _reference(f"{name}.Answer")}}},
            **_failures(400, 404, 413, 415, 422, 429, 500, 503),
        },
    }


def _request(lane: Lane) -> Schema:
    row = row_schema(lane.model.signature, lane.model.artifact.golden.rows[0])
    key: Schema = {
        "type": ["string", "null"],
        "maxLength": KEY_CHARACTERS,
        "description": "Your own key of the row, logged with it, by which its label can be joined later.",
    }
    ask: Schema = {}
    if lane.model.signature.output("probabilities"):
        ask = {"probabilities": {"type": "boolean", "description": "Answer the probability of each class too."}}
    one = {"features": row, **ask, "key": key}
    many = {"instances": {"type": "array", "items": row}, **ask, "keys": {"type": ["array", "null"], "items": key}}
    return {"oneOf": [_closed("One row", one, ["features"]), _closed("Several rows", many, ["instances"])]}


def _answer(lane: Lane) -> Schema:
    signature = lane.model.signature
    prediction, made_id = answer_schema(signature), {"type": "string", "format": "uuid"}
    about: Schema = {"model": {"const": lane.model.name}, "version": {"type": "integer"}}
    one: Schema = {"prediction": prediction, "id": made_id, **about}
    many: Schema = {"predictions": _list(prediction), "ids": _list(made_id), **about}
    probabilities = signature.output("probabilities")
    if probabilities:
        classes = {"const": list(signature.prediction.classes or ())}
        one |= {"probabilities": output_schema(probabilities), "classes": classes}
        many |= {"probabilities": _list(output_schema(probabilities)), "classes": classes}
    required = ["model", "version"]
    return {
        "oneOf": [
            _closed("One row", one, ["prediction", "id", *required]),
            _closed("Several rows", many, ["predictions", "ids", *required]),
        ]
    }


def _plain_paths() -> dict[str, Any]:
    model = _parameter("ref", "A model, or one version of it: iris, iris@3.")
    ready = {"ready": {"type": "boolean"}, "models": _OBJECT}
    return {
        "/models": {"get": _get("models", "The models that are served", _typed({"models": _list(_OBJECT)}))},
        "/models/{ref}": {"get": _get("model", "One model: signature, proof, example", _OBJECT, 400, 404, 503) | model},
        "/models/{ref}/labels": {"post": _labels() | model},
        "/models/{ref}/erase": {"post": _erase() | model},
        "/models/{ref}/accuracy": {"get": _get("accuracy", "How accurate it is", _OBJECT, 400, 404, 422, 503) | model},
        "/health/live": {"get": _get("live", "Whether the process runs", _typed({"live": {"type": "boolean"}}))},
        "/health/ready": {"get": _get("ready", "Whether every model can answer; 503 while not", _typed(ready))},
        "/metrics": {"get": _get("metrics", "Metrics for Prometheus", _TEXT, media_type="text/plain")},
        "/openapi.json": {"get": _get("openapi", "This document", _OBJECT)},
        "/docs": {"get": _get("docs", "The documentation of the models served here", _TEXT, media_type="text/html")},
    }


def _labels() -> Schema:
    label: Schema = {
        "type": "object",
        "properties": {"id": _TEXT, "key": _TEXT, "label": {}, "weight": {"type": "number", "minimum": 0}},
        "required": ["label"],
        "description": "What turned out to be true, for a prediction's id or for your own key. Null takes a label back.",
    }
    counted = ("taken", "matched", "unknown", "new", "duplicate", "revised", "invalid")
    answer = _typed({name: {"type": "integer"} for name in counted})
    return {
        "operationId": "labels",
        "summary": "Give predictions their labels",
        "requestBody": {
            "required": True,
            "content": {_JSON: {"schema": {"oneOf": [label, _typed({"labels": _list(label)})]}}},
        },
        "responses": {
            "200": {"description": "What became of the labels.", "content": {_JSON: {"schema": answer}}},
            **_failures(400, 404, 413, 415, 422, 503),
        },
    }


def _erase() -> Schema:
    keys = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1}
    asked = _closed("Whose", {"keys": keys}, ["keys"])
    gone = _typed({"predictions": {"type": "integer"}, "labels": {"type": "integer"}})
    return {
        "operationId": "erase",
        "summary": "Erase from the log what was sent with these keys",
        "requestBody": {"required": True, "content": {_JSON: {"schema": asked}}},
        "responses": {
            "200": {"description": "How many went.", "content": {_JSON: {"schema": gone}}},
            **_failures(400, 404, 413, 415, 503),
        },
    }


def _v2_paths() -> dict[str, Any]:
    model, one_version = _parameter("model", "A model."), _parameter("model", "A model.", "version", "One version of it.")
    paths: dict[str, Any] = {
        "/v2": {"get": _v2("v2_server", "The server", _OBJECT)},
        "/v2/health/live": {"get": _v2("v2_live", "Whether the process runs", _typed({"live": {"type": "boolean"}}))},
        "/v2/health/ready": {"get": _v2("v2_ready", "Whether every model can answer", _typed({"ready": {"type": "boolean"}}))},
        "/v2/models": {"get": _v2("v2_models", "The names of the models", _typed({"models": _list(_TEXT)}))},
        "/v2/models/stats": {"get": _v2("v2_stats", "Counts of every model", _OBJECT)},
        "/v2/repository/index": {"post": _v2("v2_index", "The versions of the models", _list(_OBJECT))},
    }
    body = {"required": True, "content": {_JSON: {"schema": _reference("V2Request")}}}
    for prefix, suffix, parameters in (
        ("/v2/models/{model}", "", model),
        ("/v2/models/{model}/versions/{version}", "_version", one_version),
    ):
        paths[prefix] = {"get": _v2(f"v2_model{suffix}", "The model's tensors", _OBJECT) | parameters}
        paths[f"{prefix}/ready"] = {"get": _v2(f"v2_model_ready{suffix}", "Whether it can answer", _OBJECT) | parameters}
        paths[f"{prefix}/stats"] = {"get": _v2(f"v2_model_stats{suffix}", "Counts of the model", _OBJECT) | parameters}
        infer = _v2(f"v2_infer{suffix}", "Predict by tensors", _reference("V2Answer"))
        paths[f"{prefix}/infer"] = {"post": infer | parameters | {"requestBody": body}}
    return paths


def _v2_schemas() -> dict[str, Schema]:
    tensor: Schema = {
        "name": _TEXT,
        "datatype": {"enum": list(NUMPY)},
        "shape": _list({"type": "integer", "minimum": 0}),
        "data": {"type": "array", "description": "In row-major order, flat or nested as the shape."},
    }
    tensors = _list(_typed(tensor))
    asked = _list(_typed({"name": _TEXT}))
    return {
        "V2Request": {
            "type": "object",
            "properties": {"id": _TEXT, "parameters": _OBJECT, "inputs": tensors | {"minItems": 1}, "outputs": asked},
            "required": ["inputs"],
        },
        "V2Answer": {
            "type": "object",
            "properties": {"model_name": _TEXT, "model_version": _TEXT, "id": _TEXT, "outputs": tensors},
            "required": ["model_name", "model_version", "outputs"],
        },
        "V2Error": _typed({"error": _TEXT}),
    }


def _v2(operation: str, summary: str, schema: Schema) -> Schema:
    error = {"description": "What is wrong.", "content": {_JSON: {"schema": _reference("V2Error")}}}
    made = _get(operation, summary, schema)
    made["tags"] = ["Open Inference Protocol V2"]
    made["responses"]["default"] = error
    return made


def _get(operation: str, summary: str, schema: Schema, *failures: int, media_type: str = _JSON) -> Schema:
    answer = {"description": summary + ".", "content": {media_type: {"schema": schema}}}
    return {
        "operationId": operation,
        "summary": summary,
        "tags": ["server"],
        "responses": {"200": answer, **_failures(*failures)},
    }


def _failures(*statuses: int) -> Schema:
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in statuses}


def _failure(status: int) -> Schema:
    codes = [code for code, its_status in STATUS.items() if its_status == status]
    schema = {"allOf": [_reference("Problem"), {"properties": {"code": {"enum": codes}, "status": {"const": status}}}]}
    says = "\n".join(f"- `{code}`: {MEANING[code]}" for code in codes)
    return {"description": f"{TITLES[status]}.\n\n{says}", "content": {MEDIA_TYPE: {"schema": schema}}}


def _problem(codes: list[str]) -> Schema:
    members: Schema = {
        "type": {"type": "string", "format": "uri-reference"},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "code": {"enum": codes},
    }
    known: Schema = {"column": _TEXT, "row": {"type": "integer", "minimum": 0}, "expected": _TEXT}
    return {"type": "object", "properties": {**members, **known}, "required": list(members)}


def _parameter(*named: str) -> Schema:
    pairs = zip(named[::2], named[1::2], strict=True)
    return {
        "parameters": [
            {"name": name, "in": "path", "required": True, "description": says, "schema": _TEXT} for name, says in pairs
        ]
    }


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _typed(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _closed(title: str, properties: Schema, required: list[str]) -> Schema:
    return {"title": title, "type": "object", "properties": properties, "required": required, "additionalProperties": False}
