"""The table of attacks in docs/security.md is what the tests do."""

from __future__ import annotations

from pathlib import Path

from tests.server import attacks, test_attacks_keys, test_attacks_wire, test_tls

PAGE = Path(__file__).resolve().parents[2] / "docs" / "security.md"


def test_the_docs_have_the_table() -> None:
    assert test_attacks_keys and test_attacks_wire and test_tls  # they list themselves when they are imported
    assert attacks.table() in PAGE.read_text(), f"it should be:\n{attacks.table()}"
