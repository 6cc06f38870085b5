"""The whole document."""

from __future__ import annotations

from typing import Any

from salver.engine.engine import Engine
from salver.engine.lane import Lane
from salver.server.formats.media import media_type
from salver.server.meanings import MEANING
from salver.server.openapi.others import other_paths, other_schemas
from salver.server.openapi.parts import DEADLINE, JSON, TEXT, closed, content, failures, listed, query, reference
from salver.server.openapi.plain import plain_paths
from salver.server.openapi.v2 import v2_paths, v2_schemas
from salver.server.predict import KEY_CHARACTERS
from salver.server.problems import MEDIA_TYPE, STATUS, TITLES
from salver.server.schemas import Schema, answer_schema, named_row_schema, output_schema, row_schema
from salver.version import __version__

_TABLES = ("csv", "lines", "arrow", "parquet")


def document(engine: Engine) -> dict[str, Any]:
    """The whole document. Its examples work as they stand."""
    lanes, names = newest(engine), list(engine.states)
    paths: dict[str, Any] = {}
    schemas: dict[str, Schema] = {"Problem": _problem(sorted(STATUS)), **v2_schemas(lanes), **other_schemas()}
    for lane in lanes:
        name = lane.model.name
        schemas |= {f"{name}.Request": _request(lane), f"{name}.Answer": _answer(lane)}
        paths[f"/models/{name}/predict"] = {"post": _predict(lane, f"predict_{name}")}
    only = lanes[0] if len(lanes) == 1 == len(engine.states) else None
    if only:
        paths = {"/predict": {"post": _predict(only, "predict")}, **paths}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Salver", "version": __version__, "description": "Predictions of the models served here."},
        "servers": [{"url": "/"}],
        "paths": _behind_the_door({**paths, **plain_paths(names), **v2_paths(names, lanes), **other_paths(names, lanes, only)}),
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
            if "/health" not in path and "default" not in operation["responses"]:
                operation["responses"] |= failures(401, 403, 429)
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
    asked = {JSON: content(reference(f"{name}.Request"), **examples)}
    answered: Schema = {JSON: {"schema": reference(f"{name}.Answer")}}
    for table in map(media_type, _TABLES):
        asked[table] = answered[table] = {}  # a schema can't describe them
    made: Schema = {
        "operationId": operation,
        "summary": f"Predict with {name}",
        "tags": [name],
        "parameters": [DEADLINE],
        "requestBody": {"required": True, "content": asked},
        "responses": {
            "200": {"description": "The prediction of each row.", "content": answered},
            **failures(400, 404, 406, 413, 415, 422, 429, 500, 503, 504),
        },
    }
    if lane.model.signature.output("probabilities"):
        wanted = query("probabilities", "Of a table: the probability of each class too.", {"enum": ["true", "false"]})
        made["parameters"] = [DEADLINE, wanted]
    return made


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
    forms = [closed("One row", one, ["features"]), closed("Several rows", many, ["instances"])]
    if not any(column.shape for column in lane.model.signature.columns):
        rows: Schema = {"type": "array", "items": {"allOf": [row, {"type": ["array", "object"]}]}, "minItems": 1}
        forms.append(closed("Several rows, as tutorials have them", many | {"features": rows}, ["features"]))
        del forms[-1]["properties"]["instances"]
    bare = named_row_schema(lane.model.signature) | {"title": "One row whose columns are the members", "minProperties": 1}
    return {"anyOf": [*forms, bare]}


def _answer(lane: Lane) -> Schema:
    signature = lane.model.signature
    prediction, made_id = answer_schema(signature), {"type": "string", "format": "uuid"}
    about: Schema = {"model": {"const": lane.model.name}, "version": {"type": "integer"}}
    one: Schema = {"prediction": prediction, "id": made_id, **about}
    many: Schema = {"predictions": listed(prediction), "ids": listed(made_id), **about}
    probabilities = signature.output("probabilities")
    if probabilities:
        classes = {"const": list(signature.prediction.classes or ())}
        one |= {"probabilities": output_schema(probabilities), "classes": classes}
        many |= {"probabilities": listed(output_schema(probabilities)), "classes": classes}
    required = ["model", "version"]
    return {
        "oneOf": [
            closed("One row", one, ["prediction", "id", *required]),
            closed("Several rows", many, ["predictions", "ids", *required]),
        ]
    }


def _failure(status: int) -> Schema:
    codes = [code for code, its_status in STATUS.items() if its_status == status]
    schema = {"allOf": [reference("Problem"), {"properties": {"code": {"enum": codes}, "status": {"const": status}}}]}
    says = "\n".join(f"- `{code}`: {MEANING[code]}" for code in codes)
    return {"description": f"{TITLES[status]}.\n\n{says}", "content": {MEDIA_TYPE: {"schema": schema}}}


def _problem(codes: list[str]) -> Schema:
    members: Schema = {
        "type": {"type": "string", "format": "uri-reference"},
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": TEXT,
        "error": TEXT,
        "code": {"enum": codes},
    }
    known: Schema = {"column": TEXT, "row": {"type": "integer", "minimum": 0}, "expected": TEXT}
    return {"type": "object", "properties": {**members, **known}, "required": list(members)}
