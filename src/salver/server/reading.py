"""What the JSON protocols share in reading a body: leniency, and what a refusal may say."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from salver.errors import InputError

_REPEATING = {
    "Object contains unknown field": "a member is not known",
    "Invalid enum value": "a value is not one of those known",
}


def loads(body: bytes) -> Any:
    """JSON as Python's own encoder writes it: bare NaN and Infinity are no JSON, but many clients send them.

    Raises ValueError (json.JSONDecodeError, UnicodeError) or RecursionError for what is not even that.
    """
    read = json.loads(body)
    if b"\\u" in body:
        json.dumps(read, ensure_ascii=False).encode()  # half a surrogate pair is no text, and no log could hold it
    return read


def misfit(error: msgspec.ValidationError) -> InputError:
    """The refusal of a body of another structure, without the caller's own words that msgspec repeats in some."""
    text, at, where = str(error).partition(" - at ")
    text = next((said for start, said in _REPEATING.items() if text.startswith(start)), text)
    return InputError(f"the body does not fit: {text}{at}{where}", code="invalid_body")
