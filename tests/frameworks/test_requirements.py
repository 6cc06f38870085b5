"""A lock says what a model was trained with, and is read back as it was written."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import pytest

from salver.frameworks.requirements import Lock, distributions, lock, parse, this_python


def test_a_lock_has_all_that_its_roots_require() -> None:
    made = lock(["scikit-learn"])
    assert {"scikit-learn", "numpy", "scipy", "joblib", "threadpoolctl", "msgspec"} <= set(made.pins)
    assert all(version(name) == pin for name, pin in made.pins.items())
    assert not {"salver", "pytest", "pandas"} & set(made.pins)
    assert made.is_here


def test_it_is_read_as_it_was_written() -> None:
    made = lock(["scikit-learn"])
    assert parse(made.text) == made
    assert made.text.startswith(f"# python {this_python()}\n")


def test_names_are_compared_as_indexes_do() -> None:
    assert parse("Scikit_Learn==1.5.2\n\n# a remark\n").pins == {"scikit-learn": "1.5.2"}


@pytest.mark.parametrize(
    "other", [Lock("3.9", {}), Lock(this_python(), {"numpy": "1.0"}), Lock(this_python(), {"no-such": "1"})]
)
def test_another_python_or_another_version_is_elsewhere(other: Lock) -> None:
    assert not other.is_here


def test_a_package_that_is_not_there_is_told() -> None:
    with pytest.raises(PackageNotFoundError):
        lock(["no-such-package"])


def test_modules_lead_to_their_packages() -> None:
    assert distributions(["sklearn.tree", "numpy", "json", "__main__"]) == ["numpy", "scikit-learn"]
