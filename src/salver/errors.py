"""Every error Salver raises on purpose.

    SalverError                  the root; `code` is stable and documented in docs/errors.md
    ├── InputError               what the caller sent does not fit the model
    │   └── TooLarge             a limit on size was passed
    ├── Unauthenticated          who asks shows no key that holds
    ├── Forbidden                the key does not open what is asked for
    ├── NotFound                 no such model, version or route
    ├── Unavailable              cannot answer now, may later (`retry_after_s`)
    │   ├── Overloaded           the queue is full
    │   ├── RateLimited          this key has asked as often as it may
    │   ├── DeadlineExceeded     the caller's time was over before the request's turn came
    │   ├── LogUnavailable       the prediction could not be logged, so it is not answered
    │   └── Unreachable          a broker of messages does not answer now
    ├── PredictionFailed         the model itself raised
    ├── ModelFileError           a file that is not a model we can read
    ├── ArtifactError            a stored model that is damaged or refused
    │   └── Untrusted            it runs code when it is read, and nobody trusted vouches for it
    ├── StoreError               the store can't be reached, or lacks what it needs
    ├── InUse                    refused, because a route needs it
    ├── Incompatible             a version whose columns do not fit those who ask the one before it
    ├── LoweringError            this model has no lowering (it is served by its own framework)
    └── ConfigError              a setting or a command line that makes no sense

An error knows a code, never a status: `salver.server.problems` has the one table from codes to HTTP statuses.
A message names the object and the next step, and never repeats the caller's values.
"""

from __future__ import annotations


class SalverError(Exception):
    """The root. `code` is a stable identifier; `message` is for people."""

    code = "internal"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class InputError(SalverError):
    """What the caller sent does not fit: the message says what is wrong, in which row and column, and what would fit."""

    code = "invalid_input"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        column: str | None = None,
        row: int | None = None,
        expected: str | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.column = column
        self.row = row
        self.expected = expected


class TooLarge(InputError):
    """A limit on bytes or rows was passed."""

    code = "too_large"


class Unauthenticated(SalverError):
    """No key, or none that holds. It is never said which."""

    code = "unauthenticated"


class Forbidden(SalverError):
    """A key that holds and does not open this. `who` is its name, for the audit log; the client is not told what is missing."""

    code = "forbidden"

    def __init__(self, message: str, *, code: str | None = None, who: str = "") -> None:
        super().__init__(message, code=code)
        self.who = who


class NotFound(SalverError):
    """No model, version or route of that name."""

    code = "not_found"


class Unavailable(SalverError):
    """Cannot answer now. `retry_after_s` is a hint in seconds."""

    code = "unavailable"

    def __init__(self, message: str, *, code: str | None = None, retry_after_s: float = 1.0) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class Overloaded(Unavailable):
    """The model's queue is full; the request was refused at once and nothing was done."""

    code = "overloaded"


class RateLimited(Unavailable):
    """The key has asked as often as it may for now; nothing was done."""

    code = "rate_limited"


class DeadlineExceeded(Unavailable):
    """The time that the caller gave was over before the request's turn came; nothing was done."""

    code = "deadline_exceeded"


class LogUnavailable(Unavailable):
    """The prediction log could not be written, so the prediction is not answered."""

    code = "log_unavailable"


class Unreachable(Unavailable):
    """The broker of a stream does not answer now, and may later."""


class PredictionFailed(SalverError):
    """The model raised on rows that fit its signature."""

    code = "prediction_failed"


class ModelFileError(SalverError):
    """The file is not a model that can be read here."""

    code = "model_file"


class ArtifactError(SalverError):
    """A stored model is damaged, too large, of an unknown format, or not what its manifest says."""

    code = "artifact"


class Untrusted(ArtifactError):
    """A stored model that is whole, and is refused because of where it may come from."""

    code = "untrusted"


class StoreError(SalverError):
    """The store can't be reached, refuses us, or needs a package that is not installed."""

    code = "store"


class InUse(SalverError):
    """What would be taken away is used by a route; the message says by which part of it."""

    code = "in_use"


class Incompatible(SalverError):
    """A version that would take another's place takes other columns, or gives other outputs: its callers would be refused."""

    code = "incompatible"


class LoweringError(SalverError):
    """This model, or a part of it, has no lowering. Not a failure: it is then served by its own framework."""

    code = "lowering"


class ConfigError(SalverError):
    """A setting or an argument that makes no sense."""

    code = "config"


def first_line(error: Exception) -> str:
    """What another library's error says, without the lines that follow; nothing where it says nothing."""
    return str(error).strip().partition("\n")[0]
