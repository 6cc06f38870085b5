"""Every error has a code with a status of its own, and a client is told it in one form."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import salver
from salver import errors
from salver.errors import InputError, Overloaded, SalverError
from salver.server.problems import MEDIA_TYPE, STATUS, TITLES, headers_of, problem, status_of, unexpected

SOURCE = Path(salver.__file__).parent


def kinds(root: type[SalverError] = SalverError) -> Iterator[type[SalverError]]:
    yield root
    for kind in root.__subclasses__():
        yield from kinds(kind)


def codes_in_the_source() -> set[str]:
    """Every literal `code=` of a call anywhere in the package."""
    found: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant):
                found.add(str(node.value.value))
    return found


def test_every_code_has_a_status_and_every_status_a_title() -> None:
    assert {kind.code for kind in kinds()} | codes_in_the_source() <= set(STATUS)
    assert set(STATUS.values()) <= set(TITLES)


def test_every_error_is_in_the_tree_of_the_docstring() -> None:
    for kind in kinds():
        assert f" {kind.__name__} " in (errors.__doc__ or ""), kind


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_every_error_is_told_as_a_problem_document(kind: type[SalverError]) -> None:
    error = kind("what is wrong, and what to do")
    told = json.loads(problem(error))
    assert told == {
        "type": f"/docs#error-{kind.code}",
        "title": TITLES[STATUS[kind.code]],
        "status": STATUS[kind.code],
        "detail": "what is wrong, and what to do",
        "error": "what is wrong, and what to do",
        "code": kind.code,
    }
    assert MEDIA_TYPE == "application/problem+json"


def test_an_error_of_the_input_says_where() -> None:
    told = json.loads(problem(InputError("no", code="wrong_type", column="age", row=3, expected="a number")))
    assert (told["column"], told["row"], told["expected"], told["status"]) == ("age", 3, "a number", 422)


def test_one_code_does_not_change_the_others() -> None:
    assert SalverError("a", code="b").code == "b"
    assert SalverError.code == SalverError("a").code == "internal"


@pytest.mark.parametrize(("after_s", "header"), [(1.0, "1"), (0.2, "1"), (2.5, "3")])
def test_whoever_may_come_again_is_told_when(after_s: float, header: str) -> None:
    assert headers_of(Overloaded("full", retry_after_s=after_s)) == {"retry-after": header}
    assert headers_of(InputError("no")) == {}


def test_an_unexpected_error_tells_nothing_but_its_kind() -> None:
    error = unexpected(ValueError("s3cr3t"))
    assert status_of(error) == 500
    assert b"s3cr3t" not in problem(error)
