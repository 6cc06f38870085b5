"""The keys that a server knows right now, and who gets in with what they show. Pure: keys in, a key or a refusal out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal

from salver.door.bucket import Bucket
from salver.door.key import Key, Scope, fits, parse
from salver.errors import Forbidden, Unauthenticated

Need = Literal["auto", "always", "never"]

_BEARER = b"bearer "


class Ring:
    """`need`: whether a key is needed at all; "auto" as soon as there ever was one, and from then on."""

    def __init__(self, need: Need = "auto", requests_per_s: int = 0, burst: int = 0) -> None:
        self._need = need
        self._rate = (requests_per_s, burst)
        self._keys: dict[str, Key] = {}
        self._buckets: dict[str, Bucket] = {}
        self.closed = need == "always"

    def hold(self, keys: Iterable[Key], ever: bool) -> None:
        """These are the keys from now on. `ever`: there are or were some. A key that stays keeps its bucket."""
        self._keys = {key.id: key for key in keys}
        self._buckets = {
            made: self._buckets.get(made) or bucket for made, key in self._keys.items() if (bucket := self._made(key))
        }
        self.closed = self.closed or (ever and self._need == "auto")

    def enter(self, shown: Sequence[str], scope: Scope | None, model: str | None) -> Key | None:
        """The key of somebody who shows `shown` and wants `scope` for `model`; None where none is needed.

        `scope` and `model` are as in `Key.opens`. Raises Unauthenticated for no key, more than one, or one
        that does not hold, without a word which; Forbidden for a key that does not open this.
        """
        if not self.closed:
            return None
        key = self._shown_by(shown)
        if not key.opens(scope, model):
            raise Forbidden("this key does not open that; whoever gave it to you knows what it is for", who=key.name)
        return key

    def bucket(self, key: Key | None) -> Bucket | None:
        """What counts a key's requests; None where there is no limit."""
        return self._buckets.get(key.id) if key else None

    def _shown_by(self, shown: Sequence[str]) -> Key:
        made_id, secret = parse(shown[0]) if len(shown) == 1 else ("", "")
        key = self._keys.get(made_id)
        if not fits(key, secret) or key is None or key.is_over(datetime.now(UTC)):
            raise Unauthenticated("this server wants an API key that holds: 'Authorization: Bearer KEY' or 'x-api-key: KEY'")
        return key

    def _made(self, key: Key) -> Bucket | None:
        per_s, burst = self._rate
        if key.requests_per_s is not None:
            per_s, burst = key.requests_per_s, key.burst or 0
        return Bucket(per_s, burst) if per_s else None


def shown_in(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """The keys that a request shows, each once; headers in lower case. What is no bearer token counts as a wrong key."""
    shown: dict[str, None] = {}
    for name, value in headers:
        if name == b"x-api-key":
            shown[value.decode("latin-1").strip()] = None
        elif name == b"authorization":
            shown[value[len(_BEARER) :].decode("latin-1").strip() if value[: len(_BEARER)].lower() == _BEARER else ""] = None
    return list(shown)
