"""How models are named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salver.errors import InputError
from salver.types.reference import Reference, model_name

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True)
versions = st.integers(0, 10**9)
aliases = names.filter(lambda alias: not alias.isdecimal())


@given(name=names, version=versions | st.none(), alias=aliases)
def test_what_is_written_is_read_again(name: str, version: int | None, alias: str) -> None:
    for reference in (Reference(name), Reference(name, version=version), Reference(name, alias=alias)):
        assert Reference.parse(str(reference)) == reference


@pytest.mark.parametrize(
    "text", ["", "@", "iris@", "@3", "a b", "a/b", "../a", "a@b@c", "-a", ".a", "a@-1", "a" * 129, "ä", "a\n"]
)
def test_what_names_no_model_is_refused(text: str) -> None:
    with pytest.raises(InputError) as refused:
        Reference.parse(text)
    assert refused.value.code == "invalid_reference"


@given(st.text())
def test_any_file_has_a_legal_model_name(stem: str) -> None:
    assert Reference.parse(model_name(stem)) == Reference(model_name(stem))


@given(names)
def test_a_legal_name_stays(name: str) -> None:
    assert model_name(name) == name
