"""When a call is made again, and how long before. Pure.

A prediction that was made is logged, so it is not asked for twice: only when the server can't have begun with it. What changes
nothing, or nothing more when it is done again, is also asked again when an answer got lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import random

from .answers import Reply, refusal

NOT_BEGUN = frozenset(("overloaded", "rate_limited", "loading", "unavailable", "too_many_connections", "log_unavailable"))
"""Codes by which a server says that nothing was predicted, and that it may be later."""

_GATEWAYS = frozenset((502, 503, 504))
"""What stands between, and can't say what became of the request."""


@dataclass(frozen=True)
class Unanswered:
    """There is no reply. `sent` is false where the server can't have seen the request; `late`, where time ran out."""

    why: str
    sent: bool
    late: bool = False


@dataclass(frozen=True)
class Retries:
    """At most `most` more tries; the pause before each is twice as long as the one before, drawn so that clients spread."""

    most: int = 3
    first_s: float = 0.1
    longest_s: float = 5.0
    draw: Callable[[], float] = random

    def pause_s(self, outcome: Reply | Unanswered, tried: int, repeatable: bool) -> float | None:
        """How long to wait before the next try; None where there is to be none. `tried`: how often it was."""
        if tried > self.most or not self._may(outcome, repeatable):
            return None
        told = outcome.headers.get("retry-after", "") if isinstance(outcome, Reply) else ""
        if told.isdecimal():
            return float(told)
        return min(self.longest_s, self.first_s * 2 ** (tried - 1)) * (0.5 + self.draw() / 2)

    def _may(self, outcome: Reply | Unanswered, repeatable: bool) -> bool:
        if isinstance(outcome, Unanswered):
            return not outcome.late and (repeatable or not outcome.sent)
        if outcome.status < 400:
            return False
        code = refusal(outcome).code
        return code in NOT_BEGUN or (repeatable and not code and outcome.status in _GATEWAYS)
