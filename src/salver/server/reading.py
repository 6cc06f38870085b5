"""What the JSON protocols share in reading a body: leniency, and what a refusal may say."""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

import msgspec

from salver.errors import InputError, TooLarge
from salver.server.settings import Limits

_LIMITS = Limits()
_Read = TypeVar("_Read")
_REPEATING = {
    "Object contains unknown field": "a member is not known",
    "Invalid enum value": "a value is not one of those known",
}
_SMALL_BYTES = 4096  # here two counts cost less than what follows
_OPENING, _PAIR = b"[", b"[]"
_AS_ARRAYS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b'[]{}"'))
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_QUOTED = re.compile(rb'"[^"]*"')


def read(decoder: msgspec.json.Decoder[_Read], body: bytes, limits: Limits = _LIMITS) -> _Read:
    """A body as the decoder's type. Raises InputError, which says what is wrong and never repeats what was sent."""
    require_moderate(body, limits)
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise misfit(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError):
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


def require_moderate(body: bytes, limits: Limits) -> None:
    """Raises TooLarge for JSON that would take far more memory than its bytes, InputError for JSON nested too deeply.

    Both are found without making anything of it. A value costs a comma or a bracket.
    """
    if len(body) > 2 * limits.json_values and sum(map(body.count, (b",", b"[", b"{"))) >= limits.json_values:
        raise TooLarge(f"a body may have at most {limits.json_values} values; send the rows in parts")
    if len(body) < _SMALL_BYTES and body.count(b"[") + body.count(b"{") <= limits.json_depth:
        return
    if _is_deeper(body, limits.json_depth):
        raise InputError(f"the body is nested too deeply: at most {limits.json_depth} levels are read", code="invalid_json")


def require_rows(count: int, limits: Limits) -> None:
    """Raises TooLarge."""
    if count > limits.rows:
        raise TooLarge(f"a request may have at most {limits.rows} rows; send them in parts")


def require_columns(count: int, limits: Limits) -> None:
    """Raises TooLarge."""
    if count > limits.columns:
        raise TooLarge(f"a request may have at most {limits.columns} columns")


def _is_deeper(body: bytes, depth: int) -> bool:
    """Whether brackets are nested deeper than that. Of what is no JSON, the decoder says so."""
    if b"\\" in body:
        body = _ESCAPED.sub(b"", body)
    # What is left of most texts is an empty pair of quotes, which says nothing of what stands before or after.
    brackets = body.translate(_AS_ARRAYS, _NO_BRACKETS).replace(b'""', b"")
    if brackets.count(_OPENING) <= depth:
        return False
    brackets = _QUOTED.sub(b"", brackets)
    for _ in range(depth):  # each time, the innermost level goes
        outer = brackets.replace(_PAIR, b"")
        if len(outer) == len(brackets):
            return outer.count(_OPENING) > depth
        brackets = outer
    return _OPENING in brackets


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
