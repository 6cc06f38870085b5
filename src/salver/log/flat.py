"""A model's predictions with a column for each input and each output, typed as they are."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from salver.log.duck import named, quoted

if TYPE_CHECKING:
    import duckdb

SEEN_ROWS = 1000
"""So many rows are looked at for the types of a model's columns."""

_COLUMNS: tuple[str, ...] = ("id", "time", "version", "route", "source", "latency_us", "key", "flags", "weight")
_TABLE = re.compile(r'\b(?:from|join)\s+(?:"([^"]+)"|([A-Za-z_][A-Za-z0-9_]*))', re.IGNORECASE)
_OURS = {"predictions", "labels", "labels_in_force"}


def models_named_in(connection: duckdb.DuckDBPyConnection, query: str) -> list[str]:
    """The models that a query uses as tables."""
    words = {quoted or plain for quoted, plain in _TABLE.findall(query)} - _OURS
    if not words:
        return []
    found = connection.execute("select distinct model from predictions where list_contains(?, model)", [sorted(words)])
    return [row[0] for row in found.fetchall()]


def flat(connection: duckdb.DuckDBPyConnection, model: str) -> str:
    """SQL for the predictions of a model that has some. An input that is called as another column becomes `input_NAME`."""
    seen = connection.execute(
        "select json_group_structure(inputs), json_group_structure(outputs) "
        f"from (select inputs, outputs from predictions where model = ? limit {SEEN_ROWS})",
        [model],
    ).fetchone()
    assert seen
    columns = list(_COLUMNS)
    taken: set[str] = set(columns)
    # Outputs first: it is inputs that have any name.
    outputs = [_column("outputs", name, dtype, taken) for name, dtype in json.loads(seen[1]).items()]
    inputs = [_column("inputs", name, dtype, taken) for name, dtype in json.loads(seen[0]).items()]
    return f"select {', '.join([*columns, *inputs, *outputs])} from predictions where model = {quoted(model)}"


def _column(source: str, name: str, dtype: Any, taken: set[str]) -> str:
    called = name if name not in taken else f"{source.removesuffix('s')}_{name}"
    taken.add(called)
    return f"{typed(source, name, dtype)} as {named(called)}"


def typed(source: str, name: str, dtype: Any = "VARCHAR") -> str:
    """SQL for a member of a JSON column as the type that DuckDB saw in it; whatever is no plain value stays JSON."""
    pointer = quoted("/" + name.replace("~", "~0").replace("/", "~1"))
    if dtype in ("UBIGINT", "BIGINT", "HUGEINT", "DOUBLE"):
        whole = source == "outputs" and dtype != "DOUBLE"
        return f"try_cast({source}->>{pointer} as {'BIGINT' if whole else 'DOUBLE'})"
    if dtype == "BOOLEAN":
        return f"try_cast({source}->>{pointer} as BOOLEAN)"
    if dtype in (["DOUBLE"], ["UBIGINT"], ["BIGINT"]):
        return f"try_cast({source}->{pointer} as DOUBLE[])"
    if isinstance(dtype, str):
        return f"{source}->>{pointer}"
    return f"{source}->{pointer}"
