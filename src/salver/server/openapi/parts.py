"""What the parts of the document are made of."""

from __future__ import annotations

from typing import Any

from salver.server.asking import LONGEST_MS, TIMEOUT
from salver.server.schemas import Schema

JSON = "application/json"
TEXT: Schema = {"type": "string"}
OBJECT: Schema = {"type": "object"}
MAYBE: Schema = {"type": ["object", "null"]}
"""An object or null, which is as good as nothing."""
_NAME = "[A-Za-z0-9][A-Za-z0-9_.-]{0,127}"
NAME: Schema = {"type": "string", "pattern": f"^{_NAME}$"}
"""What may be the name of a model or an alias."""

DEADLINE: Schema = {
    "name": TIMEOUT,
    "in": "header",
    "description": "How many milliseconds an answer is of use; later, the request leaves the queue.",
    "schema": {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_MS},
}


def get(operation: str, summary: str, schema: Schema, *failures_of: int, media_type: str = JSON, tag: str = "server") -> Schema:
    """An operation without a body."""
    answer = {"description": summary + ".", "content": {media_type: {"schema": schema}}}
    return {
        "operationId": operation,
        "summary": summary,
        "tags": [tag],
        "responses": {"200": answer, **failures(*failures_of)},
    }


def until_ready(made: Schema) -> Schema:
    """The same operation, which says with 503 that it is not so yet."""
    made["responses"]["503"] = made["responses"]["200"] | {"description": "Not yet."}
    return made


def post(operation: str, summary: str, asked: Schema, answer: Schema, *failures_of: int, required: bool = True) -> Schema:
    """An operation with a body of JSON."""
    made = get(operation, summary, answer, *failures_of)
    made["requestBody"] = {"required": required, "content": {JSON: {"schema": asked}}}
    return made


def failures(*statuses: int) -> Schema:
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in statuses}


def path_parameters(*described: tuple[str, str, Schema]) -> Schema:
    """Of each the name, what it means, and its schema."""
    return {
        "parameters": [
            {"name": name, "in": "path", "required": True, "description": says, "schema": schema}
            for name, says, schema in described
        ]
    }


def model_parameter(names: list[str]) -> tuple[str, str, Schema]:
    """One of the models that are here."""
    return "model", "A model.", {"enum": names} if names else NAME


def ref_parameter(names: list[str]) -> tuple[str, str, Schema]:
    """One of them, or a version of it by its number or alias."""
    which = "|".join(name.replace(".", r"\.") for name in names)
    schema: Schema = {"type": "string", "pattern": f"^(?:{which})(?:@{_NAME})?$", "examples": names} if names else TEXT
    return "ref", "A model, or one version of it: iris, iris@3.", schema


def query(name: str, says: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "description": says, "schema": schema}


def content(schema: Schema, **examples: Any) -> Schema:
    """A body of JSON with examples by title."""
    return {"schema": schema, "examples": {title: {"value": value} for title, value in examples.items()}}


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def listed(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def typed(properties: Schema, *optional: str) -> Schema:
    """An object that has all of these, but for those that are optional."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def closed(title: str, properties: Schema, required: list[str]) -> Schema:
    return {"title": title, "type": "object", "properties": properties, "required": required, "additionalProperties": False}
