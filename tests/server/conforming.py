"""What an answer is held to, beside schemathesis' own checks. Its command line loads this, in a process of its own."""

from __future__ import annotations

import json
from functools import cache

import schemathesis
from jsonschema_rs import Draft202012Validator

from salver.server.asking import TIMEOUT
from tests.server.mutations import no_json


@schemathesis.check
def no_fault(ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case) -> None:
    """No 5xx, but to a caller who gave so little time that it was over."""
    late = response.status_code == 504 and TIMEOUT in (case.headers or {})
    assert response.status_code < 500 or late, response.text


@schemathesis.check
def conforms(ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case) -> None:
    """JSON is JSON, and fits the schema of its status. (schemathesis' own such check, in 4.32, does not know `prefixItems`.)"""
    media_type = response.headers.get("content-type", [""])[0].partition(";")[0]
    if media_type.endswith("json"):
        body = json.loads(response.content, parse_constant=no_json)
        if described := _described(case.operation, response.status_code, media_type):
            described.validate(body)


@cache
def _described(operation: schemathesis.APIOperation, status: int, media_type: str) -> Draft202012Validator | None:
    """What holds for an answer; None where that status of it, or that type, is not described, which other checks see."""
    whole, responses = operation.schema.raw_schema, operation.definition.raw["responses"]
    answer = responses.get(str(status)) or responses.get("default") or {}
    if "$ref" in answer:
        answer = whole["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    if media_type not in answer.get("content", {}):
        return None
    return Draft202012Validator({**answer["content"][media_type]["schema"], "components": whole["components"]})
