"""Writes the table of docs/lowering.md from the suite's cases: `python -m tests.conformance.table`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.conformance.case import Case, all_cases
from tests.conformance.subject import NATIVE, Subject

PAGE = Path(__file__).parents[2] / "docs" / "lowering.md"
MARK = "<!-- table -->"
_HEAD = "| model | served by | rows proven | largest difference, or why it is not lowered |\n|---|---|---:|---|\n"
_NAMES = {"linear": "numpy"}  # the other ways are called in the docs as they are in the manifest


def main() -> None:
    lines = "".join(_line(case) for case in all_cases())
    before, _, after = PAGE.read_text().split(MARK)
    PAGE.write_text(f"{before}{MARK}\n{_HEAD}{lines}{MARK}{after}")


def documented() -> dict[str, str]:
    """How the page says that each case is served."""
    ways = {name: way for way, name in _NAMES.items()}
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.read_text().split(MARK)[1].splitlines()]
    return {name: ways.get(by, by) for name, by, *_ in cells[3:]}


def _line(case: Case) -> str:
    with tempfile.TemporaryDirectory() as folder:
        subject = Subject(case, Path(folder))
        try:
            return _row(subject)
        finally:
            subject.close()


def _row(subject: Subject) -> str:
    by = _NAMES.get(subject.served_by, subject.served_by)
    proof = subject.lowering.proof
    if by == NATIVE or proof is None:
        why = (subject.case.note or subject.lowering.reason).replace("|", "\\|")
        return f"| {subject.case.name} | {by} | | {why} |\n"
    return f"| {subject.case.name} | {by} | {proof.rows:,} | {proof.largest_difference:.1e} |\n"


if __name__ == "__main__":
    main()
