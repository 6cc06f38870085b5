"""What JSON costs is found before it is decoded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salver.errors import InputError, TooLarge
from salver.server.reading import require_moderate
from salver.server.settings import Limits

DEEP = Limits(json_depth=4)
VALUES = st.recursive(
    st.none() | st.integers() | st.text('[]{}",:\\x"é', max_size=6),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text('[]{}"\\', max_size=3), inside, max_size=3),
    max_leaves=20,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(VALUES, st.sampled_from([None, 1]), st.booleans())
def test_depth_is_what_it_is(value: Any, indent: int | None, ascii_only: bool) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    if depth(value) > DEEP.json_depth:
        with pytest.raises(InputError, match="at most 4 levels"):
            require_moderate(body, DEEP)
    else:
        require_moderate(body, DEEP)


@given(st.text('[]{}", \\', max_size=40))
def test_whatever_is_no_json_is_left_to_the_decoder_or_too_deep(text: str) -> None:
    try:
        require_moderate(text.encode(), DEEP)
    except InputError as error:
        assert error.code == "invalid_json"


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 50_000, b"[{" * 5 + b"}]" * 5, b"]" * 9 + b"[" * 9])
def test_what_is_never_closed_counts(body: bytes) -> None:
    with pytest.raises(InputError, match="at most 4 levels"):
        require_moderate(body, DEEP)


@pytest.mark.parametrize("value", [b"1", b"[]", b"{}", b'""'])
def test_values_are_counted(value: bytes) -> None:
    limits = Limits(json_values=1000)
    many = b"[" + b",".join([value] * 1000) + b"]" + b" " * 1000
    with pytest.raises(TooLarge, match="at most 1000 values"):
        require_moderate(many, limits)
    require_moderate(b"[" + b",".join([value] * 450) + b"]" + b" " * 2000, limits)
