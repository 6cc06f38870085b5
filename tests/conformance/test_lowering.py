"""Every case against every check."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.conformance.case import Case, all_cases
from tests.conformance.checks import CHECKS
from tests.conformance.subject import NATIVE, Subject
from tests.conformance.table import documented

_DOCUMENTED = documented()


@pytest.fixture(scope="module", params=all_cases(), ids=lambda case: case.name)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """One case at a time: made when its first check asks, gone after its last."""
    case: Case = request.param
    made = Subject(case, tmp_path_factory.mktemp("case"))
    yield made
    made.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test(subject: Subject, check: Callable[[Subject], None]) -> None:
    check(subject)


def test_the_documented_table_says_how_it_is_served(subject: Subject) -> None:
    """Of two proven ways the faster one serves, and which that is may differ from machine to machine."""
    proven = {attempt.by for attempt in subject.lowering.attempts if attempt.proven} or {NATIVE}
    assert _DOCUMENTED.get(subject.case.name) in proven, "write the table anew: python -m tests.conformance.table"


def test_the_documented_table_lists_these_cases() -> None:
    assert sorted(_DOCUMENTED) == sorted(case.name for case in all_cases())
