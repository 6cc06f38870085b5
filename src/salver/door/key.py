"""One API key: what its holder shows, what is kept of it, and what it opens. Pure.

A key is `salver_ID_SECRET`. The id finds it; the secret is 256 random bits, of which only the SHA-256 is kept. A slow hash
would add nothing: there is no dictionary of such secrets to try.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import UTC, datetime
from typing import Literal, get_args

import msgspec

from salver.errors import ConfigError

Scope = Literal["predict", "label", "read", "manage"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
ALL = "*"
"""Where a model's name stands: all of them, which a key that is limited to some does not open."""

_ID_BYTES, _SECRET_BYTES = 6, 32
_SHOWN = re.compile(r"salver_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_NOBODY = hashlib.sha256(b"").hexdigest()


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a key. No `models`: all of them. No `requests_per_s`: the server's own rate holds."""

    id: str
    name: str
    digest: str
    scopes: tuple[Scope, ...]
    models: tuple[str, ...] = ()
    requests_per_s: int | None = None
    burst: int | None = None
    expires: str | None = None
    by: str = ""
    at: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError("a key's name has up to 64 letters, digits, '_', '-', '.' and '@'")
        if not self.scopes:
            raise ConfigError(f"a key needs a scope: {', '.join(SCOPES)}")

    def opens(self, scope: Scope | None, model: str | None) -> bool:
        """Whether it opens routes of that scope (None: any will do) about that model (None: about none; ALL: about all)."""
        return (scope is None or scope in self.scopes) and (model is None or not self.models or model in self.models)

    def is_over(self, now: datetime) -> bool:
        """Whether its time has passed."""
        return self.expires is not None and datetime.fromisoformat(self.expires) <= now


def new_key(name: str, scopes: tuple[Scope, ...], **more: object) -> tuple[Key, str]:
    """A new key, and what is shown of it once and never again. Raises ConfigError."""
    made_id, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    fields = {"id": made_id, "name": name, "digest": digest_of(secret), "scopes": scopes, "at": at, **more}
    try:
        return msgspec.convert(fields, Key), f"salver_{made_id}_{secret}"
    except msgspec.ValidationError as error:
        raise ConfigError(f"no such key can be made: {error}") from error


def parse(shown: str) -> tuple[str, str]:
    """The id and the secret of what a client shows; both empty when it is no key at all."""
    found = _SHOWN.fullmatch(shown)
    return (found[1], found[2]) if found else ("", "")


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def fits(key: Key | None, secret: str) -> bool:
    """Whether a secret is the key's, in the same time whatever it is, and whether or not there is such a key."""
    return hmac.compare_digest(digest_of(secret), key.digest if key else _NOBODY) and key is not None
