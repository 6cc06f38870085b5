"""The one place where a status code is decided: error codes → HTTP statuses and RFC 9457 problem documents."""

from __future__ import annotations

import math

import msgspec

from salver.errors import InputError, SalverError, Unauthenticated, Unavailable

MEDIA_TYPE = "application/problem+json"

STATUS = {
    # what was sent is not understood
    "invalid_http": 400,
    "invalid_json": 400,
    "invalid_body": 400,
    "invalid_reference": 400,
    # what was sent is understood and does not fit the model
    "invalid_input": 422,
    "wrong_type": 422,
    "wrong_width": 422,
    "wrong_shape": 422,
    "missing_value": 422,
    "missing_column": 422,
    "unknown_column": 422,
    "unseen_category": 422,
    "not_finite": 422,
    "out_of_range": 422,
    "no_probabilities": 422,
    "invalid_label": 422,
    "invalid_question": 422,
    # who asks may not
    "unauthenticated": 401,
    "forbidden": 403,
    "forbidden_origin": 403,
    # there is no such thing
    "not_found": 404,
    "unknown_model": 404,
    "unknown_version": 404,
    "model_not_named": 404,
    "method_not_allowed": 405,
    # nothing that we can give is what was asked for
    "not_acceptable": 406,
    # there is such a thing, and it stays
    "in_use": 409,
    "already_loaded": 409,
    "incompatible": 409,
    # limits
    "too_slow": 408,
    "too_large": 413,
    "target_too_long": 414,
    "unsupported_encoding": 415,
    "headers_too_large": 431,
    "overloaded": 429,
    "rate_limited": 429,
    # not now
    "unavailable": 503,
    "loading": 503,
    "too_many_connections": 503,
    "model_crashed": 503,
    "deadline_exceeded": 504,
    "log_unavailable": 503,
    "no_log": 503,
    "store": 503,
    # ours
    "prediction_failed": 500,
    "internal": 500,
    "artifact": 500,
    "untrusted": 500,
    "unsigned": 500,
    "model_file": 500,
    "lowering": 500,
    "config": 500,
}
"""Every code that can reach a client. A test fails when an error class has a code that is not here."""

TITLES = {
    400: "Bad request",
    401: "A key is needed",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    408: "Too slow",
    409: "Conflict",
    413: "Too large",
    414: "Target too long",
    415: "Unsupported encoding",
    422: "Does not fit the model",
    429: "Too many requests",
    431: "Headers too large",
    500: "Internal error",
    503: "Not available",
    504: "Too late",
}


class Problem(msgspec.Struct, omit_defaults=True):
    """An RFC 9457 problem document with our members beside the standard ones. `error` is `detail` for those who look there."""

    type: str
    title: str
    status: int
    detail: str
    error: str
    code: str
    column: str | None = None
    row: int | None = None
    expected: str | None = None


def status_of(error: SalverError) -> int:
    return STATUS.get(error.code, 500)


def problem(error: SalverError) -> bytes:
    """The body of an error's answer."""
    status = status_of(error)
    made = Problem(f"/docs#error-{error.code}", TITLES[status], status, error.message, error.message, error.code)
    if isinstance(error, InputError):
        made.column, made.row, made.expected = error.column, error.row, error.expected
    return msgspec.json.encode(made)


def headers_of(error: SalverError) -> dict[str, str]:
    """Headers that belong to an error whatever its body's shape."""
    if isinstance(error, Unavailable):
        return {"retry-after": str(math.ceil(error.retry_after_s))}
    if isinstance(error, Unauthenticated):
        return {"www-authenticate": 'Bearer realm="salver"'}
    return {}


def unexpected(error: Exception) -> SalverError:
    """What a client is told of an error that nobody meant to raise: nothing but that it was ours."""
    return SalverError(f"something went wrong here ({type(error).__name__}); the server's log has the details")
