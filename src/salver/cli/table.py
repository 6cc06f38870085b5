"""Facts on the terminal: tables for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec


def print_json(facts: Any) -> None:
    """One JSON document, readable too."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(facts), indent=2).decode() + "\n")


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str = "") -> None:
    """Rows under headings, two spaces apart; columns of nothing but numbers end flush. `empty` is said when there is none."""
    if not rows:
        print(empty)
        return
    cells = [[_text(value) for value in row] for row in rows]
    flush = [all(isinstance(row[at], int | float) or row[at] is None for row in rows) for at in range(len(headings))]
    widths = [max(len(line[at]) for line in [list(headings), *cells]) for at in range(len(headings))]
    for line in [list(headings), *cells]:
        padded = [
            cell.rjust(width) if right else cell.ljust(width) for cell, width, right in zip(line, widths, flush, strict=True)
        ]
        print("  ".join(padded).rstrip())


def print_facts(facts: Sequence[tuple[str, object]]) -> None:
    """A name and a value a line; facts without a value are left out."""
    told = [(name, _text(value)) for name, value in facts if value not in (None, "", [], {}, ())]
    width = max((len(name) for name, _ in told), default=0)
    for name, text in told:
        indented = text.replace("\n", "\n" + " " * (width + 2))
        print(f"{name.ljust(width)}  {indented}")


def size(size_bytes: int) -> str:
    """12.3 MB."""
    amount = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def moment(iso: str) -> str:
    """A UTC time as it is stored, in the reader's own time zone and to the minute."""
    return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M") if iso else ""


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_text(part) for part in value)  # pyright: ignore[reportUnknownVariableType]
    return str(value)
