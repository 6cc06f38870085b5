"""What the conformance suite is run on: one trained model a case, found in every module of `cases/`."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from tests.conformance import cases


class Case(NamedTuple):
    """`make` trains a model and gives it with rows to ask it (a 2-D array, or a DataFrame when it was trained on one)."""

    name: str
    make: Callable[[], tuple[Any, Any]]
    lowered: bool = True  # False: we know that it is served by its own framework
    note: str = ""  # why it is served by its own framework, for the docs table


def all_cases() -> list[Case]:
    """Every case of every module in `cases/`, in a fixed order. Names are unique."""
    found = [
        case
        for module in sorted(pkgutil.iter_modules(cases.__path__), key=lambda module: module.name)
        for case in import_module(f"{cases.__name__}.{module.name}").CASES
    ]
    names = [case.name for case in found]
    assert len(names) == len(set(names)), "two cases of one name"
    return found
