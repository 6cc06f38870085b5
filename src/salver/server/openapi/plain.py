"""The native routes that are the same for every model."""

from __future__ import annotations

from typing import Any

from salver.server.openapi.parts import (
    OBJECT,
    TEXT,
    closed,
    get,
    listed,
    path_parameters,
    post,
    query,
    ref_parameter,
    typed,
    until_ready,
)
from salver.server.schemas import Schema

_ROUTE = typed({"name": TEXT, "route": OBJECT})
_CHANGES = 400, 404, 409, 413, 415, 422, 500, 503


def plain_paths(names: list[str]) -> dict[str, Any]:
    """Everything but predictions, of models of these names."""
    model = path_parameters(ref_parameter(names))
    ready = {"ready": {"type": "boolean"}, "models": OBJECT}
    return {
        "/models": {"get": get("models", "The models that are served", typed({"models": listed(OBJECT)}))},
        "/models/{ref}": {"get": get("model", "One model: signature, proof, example", OBJECT, 400, 404, 503) | model},
        "/models/{ref}/labels": {"post": _labels(model)},
        "/models/{ref}/erase": {"post": _erase() | model},
        "/models/{ref}/accuracy": {"get": _accuracy(model)},
        **_changes(model),
        "/health/live": {"get": get("live", "Whether the process runs", typed({"live": {"type": "boolean"}}))},
        "/health/ready": {"get": until_ready(get("ready", "Whether every model can answer", typed(ready)))},
        "/metrics": {"get": get("metrics", "Metrics for Prometheus", TEXT, media_type="text/plain")},
        "/openapi.json": {"get": get("openapi", "This document", OBJECT)},
        "/docs": {"get": get("docs", "The documentation of the models served here", TEXT, media_type="text/html")},
    }


def _labels(model: Schema) -> Schema:
    maybe: Schema = {"type": ["string", "null"]}
    label: Schema = {
        "type": "object",
        "properties": {"id": maybe, "key": maybe, "label": {}, "weight": {"type": "number", "minimum": 0}},
        "required": ["label"],
        "description": "What turned out to be true, for a prediction's id or for your own key. Null takes a label back.",
    }
    whole: Schema = {"type": "integer"}
    counted = dict.fromkeys(("taken", "matched", "unknown", "new", "duplicate", "revised", "invalid"), whole)
    answer = typed({**counted, "counted": {"type": "boolean"}}, "matched", "unknown", "new", "duplicate", "revised", "counted")
    asked = {"oneOf": [label, typed({"labels": listed(label)})]}
    made = post("labels", "Give predictions their labels", asked, answer, 400, 404, 413, 415, 422, 503)
    count = query("count", "Whether to say what became of the labels.", {"enum": ["true", "false"]})
    made["parameters"] = [*model["parameters"], count]
    return made


def _erase() -> Schema:
    keys = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1}
    gone = typed({"predictions": {"type": "integer"}, "labels": {"type": "integer"}})
    asked = closed("Whose", {"keys": keys}, ["keys"])
    return post("erase", "Erase from the log what was sent with these keys", asked, gone, 400, 404, 413, 415, 503)


def _accuracy(model: Schema) -> Schema:
    made = get("accuracy", "How accurate it is", OBJECT, 400, 404, 422, 503)
    span: Schema = {"type": "string", "pattern": "^[0-9A-Za-z:.-]{1,40}$"}
    made["parameters"] = [
        *model["parameters"],
        query("by", "What to split by: version, day, or an input.", listed(TEXT)),
        query("since", "A span (7d, 12h) or a date in UTC.", span),
        query("until", "A span or a date in UTC.", span),
    ]
    return made


def _changes(model: Schema) -> dict[str, Any]:
    told: Schema = {"by": TEXT, "why": TEXT}
    alias: Schema = {"alias": TEXT, "other_columns": {"type": "boolean"}} | told
    share: Schema = {"percent": {"type": "number"}, "sticky": TEXT, "other_columns": {"type": "boolean"}} | told

    def change(operation: str, summary: str, properties: Schema, *required: str) -> Schema:
        asked = closed("Change", properties, list(required))
        return post(operation, summary, asked, _ROUTE, *_CHANGES, required=bool(required)) | model

    return {
        "/models/{ref}/route": {"get": get("route", "The route in force, and all before it", _ROUTE, 400, 404, 503) | model},
        "/models/{ref}/promote": {"post": change("promote", "Let a version answer", alias)},
        "/models/{ref}/rollback": {"post": change("rollback", "Let the version before answer again", alias)},
        "/models/{ref}/canary": {
            "post": change("canary", "Let a version answer some", share, "percent"),
            "delete": change("end_canary", "Let it answer none", told),
        },
        "/models/{ref}/shadow": {
            "post": change("shadow", "Ask a version without answering", told),
            "delete": change("end_shadow", "Ask it no more", told),
        },
    }
