"""What a call of the client can raise."""

from __future__ import annotations


class ClientError(Exception):
    """Any of these."""


class Unreachable(ClientError):
    """There was no answer: no connection, or one that broke."""


class DeadlineExceeded(ClientError):
    """The time that a call was given is over. Nobody works on it any more, or what comes of it is thrown away."""


class RequestRefused(ClientError):
    """The server answered that it does not do that. What each `code` means: docs/errors.md.

    `column` and `row` say where a row does not fit, and `expected` what would.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str = "",
        column: str | None = None,
        row: int | None = None,
        expected: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.column = column
        self.row = row
        self.expected = expected
