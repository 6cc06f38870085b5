"""What the hot path asks of a protocol: bodies for one model to rows, outputs to responses."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Self

from salver.door.bucket import Bucket
from salver.engine.batch import Batch
from salver.engine.lane import Lane
from salver.engine.split import Split
from salver.errors import SalverError
from salver.server.problems import headers_of
from salver.types.rows import Row

if TYPE_CHECKING:
    from salver.server.hot import HotRequest

Refusal = tuple[int, bytes, str]
"""How an error is said: status, body, media type."""

_REASONS = {
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    413: b"Content Too Large",
    422: b"Unprocessable Content",
    429: b"Too Many Requests",
    500: b"Internal Server Error",
    503: b"Service Unavailable",
}


class HotCodec:
    """Reads questions for one model and writes its answers."""

    plain: Any = None
    """Decodes the commonest body, whose `features` need no further check; `question` says what is wrong with another."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.current = True  # until the models change: then another may answer in its place
        self.split: Split[Lane] | None = None  # where a canary may answer instead, by chance or by the body
        self.bucket: Bucket | None = None  # counts the requests of the key whose codec this is
        self.timeout_ns = 0  # how long its callers wait; 0 where they did not say
        self.is_conditional = False  # whether it has any of the three

    def counted(self, bucket: Bucket) -> Self:
        """The same codec for the key that `bucket` counts."""
        return self._but(bucket=bucket)

    def divided(self, split: Split[Lane]) -> Self:
        """The same codec where others may answer instead."""
        return self._but(split=split)

    def timed(self, timeout_ns: int) -> Self:
        """The same codec for callers who wait so long."""
        return self._but(timeout_ns=timeout_ns)

    def fill(self, request: HotRequest, body: bytes) -> None:
        """Put what a body asks into its request. Raises InputError."""
        rows, form, keys = self.question(body)
        request.rows, request.form, request.keys = rows, form, keys
        request.count = len(rows)

    def question(self, body: bytes, tried: bool = False) -> tuple[list[Row], Any, list[str | None] | None]:
        """A body's checked rows, the form of its answer, the callers' keys; `tried`: `plain` refused it. Raises InputError."""
        raise NotImplementedError

    def response(self, form: Any, batch: Batch, start: int, count: int, head: bytes) -> bytes:
        """The response after `head`, which is one up to the value of content-length, and that length."""
        raise NotImplementedError

    @staticmethod
    def refusal(error: SalverError) -> Refusal:
        """How the protocol says an error."""
        raise NotImplementedError

    def _but(self, **changes: Any) -> Self:
        made = copy(self)
        made.current = made.is_conditional = True
        for name, value in changes.items():
            setattr(made, name, value)
        return made


def refusal_of(error: SalverError, refusal: Refusal, default_headers: list[tuple[bytes, bytes]]) -> bytes:
    """The response that says an error."""
    status, body, media_type = refusal
    more = [(name.encode(), value.encode()) for name, value in headers_of(error).items()]
    head = start_of(b"%d %b" % (status, _REASONS.get(status, b"Error")), media_type.encode(), [*default_headers, *more])
    return b"%b%d\r\n\r\n%b" % (head, len(body), body)


def start_of(status: bytes, media_type: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    """A response up to the value of content-length."""
    lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
    return b"HTTP/1.1 %b\r\ncontent-type: %b\r\n%bcontent-length: " % (status, media_type, lines)
