"""A form made from a signature, with a real row in it. Pure: a signature and a row in, fields out."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any, NamedTuple

from salver.monitors.bins import spelled
from salver.types.signature import Column, Signature

_LISTED = 200
FIELD = "in:"
"""Before a column's name, in the names of a form's fields."""


class Field(NamedTuple):
    """An input of the form. `choices` where it is one of a few values."""

    name: str
    dtype: str
    value: str
    choices: list[str]
    nullable: bool
    hint: str


def fields(signature: Signature, row: Sequence[Any] | dict[str, Any]) -> list[Field]:
    """One for each column."""
    values = row if isinstance(row, dict) else dict(zip(signature.names, row, strict=False))
    return [_field(column, values.get(column.name)) for column in signature.columns]


def _field(column: Column, value: Any) -> Field:
    choices = [spelled(one) for one in (column.categories or ())[:_LISTED]]
    if column.dtype == "bool":
        choices = ["true", "false"]
    shown = "" if value is None else json.dumps(value) if isinstance(value, list | dict) else spelled(value)
    if choices and column.unseen and shown and shown not in choices:
        choices.append(shown)
    hint = ""
    if column.low is not None and column.high is not None:
        hint = f"training saw {column.low:.6g} to {column.high:.6g}"
    return Field(column.name, column.dtype, shown, choices, column.nullable, hint)


def row_of(signature: Signature, form: dict[str, str]) -> dict[str, Any]:
    """The row that a form means. What is empty is missing; what is no number stays text, which the model then refuses."""
    return {column.name: _value(column, form.get(FIELD + column.name, "")) for column in signature.columns}


def _value(column: Column, text: str) -> Any:
    if not text:
        return None
    if column.categories is not None:
        return next((one for one in column.categories if spelled(one) == text), text)
    if column.dtype == "bool":
        return {"true": True, "false": False}.get(text, text)
    if column.shape:
        try:
            return json.loads(text)
        except ValueError:
            return text
    if column.is_number:
        try:
            return int(text) if "int" in column.dtype else float(text)
        except ValueError:
            return text
    return text


def snippets(url: str, model: str, row: dict[str, Any]) -> dict[str, str]:
    """The same question from a terminal and from Python."""
    route = f"{url}/models/{model}/predict"
    body = {"features": row}
    curl = f"curl -d {shlex.quote(json.dumps(body, ensure_ascii=False))} {shlex.quote(route)}"
    python = f"""import json
from urllib.request import urlopen

body = {body!r}
print(json.load(urlopen({route!r}, json.dumps(body).encode())))"""
    return {"curl": curl, "Python": python}
