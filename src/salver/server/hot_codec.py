"""What the hot path asks of a protocol: bodies for one model to rows, outputs to responses."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Self

from salver.door.bucket import Bucket
from salver.engine.batch import Batch
from salver.engine.lane import Lane
from salver.engine.split import Split
from salver.errors import SalverError
from salver.types.rows import Row

if TYPE_CHECKING:
    from salver.server.hot import HotRequest

Refusal = tuple[int, bytes, str]
"""How an error is said: status, body, media type."""


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
