"""What both transports make of httpx."""

from __future__ import annotations

from typing import Any

import httpx

from .answers import Reply
from .retries import Unanswered
from .service import Call

POOL = httpx.Limits(max_keepalive_connections=100, keepalive_expiry=60.0)
"""Idle connections are given up before the server, which waits longer, would."""


def options(url: str, api_key: str | None) -> dict[str, Any]:
    """Of an httpx client."""
    return {
        "base_url": url,
        "headers": {"authorization": f"Bearer {api_key}"} if api_key else {},
        "limits": POOL,
        "follow_redirects": False,
    }


def request(call: Call) -> dict[str, Any]:
    """The arguments of an httpx client's `request`."""
    return {
        "method": call.method,
        "url": call.path,
        "headers": dict(call.headers),
        "content": call.content or None,
        "timeout": call.timeout_s,
    }


def reply(response: httpx.Response) -> Reply:
    return Reply(response.status_code, response.headers, response.content)


def unanswered(error: httpx.TransportError) -> Unanswered:
    """What a failure means for whoever thinks of trying again."""
    sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    late = isinstance(error, httpx.TimeoutException)
    return Unanswered("no answer in the time that was given" if late else f"no answer: {error}", sent, late)
