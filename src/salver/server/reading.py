"""What the JSON protocols share in reading a body: leniency, and what a refusal may say."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

from salver.errors import InputError

_Read = TypeVar("_Read")
_REPEATING = {
    "Object contains unknown field": "a member is not known",
    "Invalid enum value": "a value is not one of those known",
}


def read(decoder: msgspec.json.Decoder[_Read], body: bytes) -> _Read:
    """A body as the decoder's type. Raises InputError, which says what is wrong and never repeats what was sent."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise misfit(error) from error
    except msgspec.DecodeError:
        pass  # or JSON as Python writes it
    except RecursionError:
        raise InputError("the body is nested too deeply", code="invalid_json") from None
    try:
        return msgspec.convert(loads(body), decoder.type)
    except msgspec.ValidationError as error:
        raise misfit(error) from error
    except json.JSONDecodeError as error:
        raise InputError(f"the body is not JSON: {error.msg} at byte {error.pos}", code="invalid_json") from error
    except (RecursionError, ValueError) as error:
        raise InputError("the body is not JSON in UTF-8", code="invalid_json") from error


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
