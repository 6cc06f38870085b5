"""Error codes → gRPC statuses, by way of the HTTP status that `server/problems.py` decides."""

from __future__ import annotations

from grpclib.const import Status

from salver.errors import SalverError
from salver.server.problems import status_of

CODE = "salver-code"
"""The trailing metadata that has an error's stable code."""

_STATUSES = {
    400: Status.INVALID_ARGUMENT,
    401: Status.UNAUTHENTICATED,
    403: Status.PERMISSION_DENIED,
    404: Status.NOT_FOUND,
    405: Status.UNIMPLEMENTED,
    409: Status.FAILED_PRECONDITION,
    413: Status.RESOURCE_EXHAUSTED,
    415: Status.INVALID_ARGUMENT,
    422: Status.INVALID_ARGUMENT,
    429: Status.RESOURCE_EXHAUSTED,
    503: Status.UNAVAILABLE,
    504: Status.DEADLINE_EXCEEDED,
}


def grpc_status(error: SalverError) -> Status:
    return _STATUSES.get(status_of(error), Status.INTERNAL)
