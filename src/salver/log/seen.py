"""What a model is seen to predict, where nothing but the log is at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from salver.errors import NotFound
from salver.log.labels import Accept, number
from salver.log.view import Log

_ROWS = 10_000


def acceptor_seen(log: Path, model: str) -> Accept:
    """What takes the labels of a model, by the type of its predictions. Raises NotFound when it has none."""
    some = f"select json_type(outputs->'/prediction') from predictions where model = ? limit {_ROWS}"
    types = {row[0] for row in Log(log).sql(f"select distinct * from ({some})", [model]).rows()}
    if not types:
        raise NotFound(f"the log in {log} has no predictions of a model '{model}'", code="unknown_model")
    if types <= {"VARCHAR"}:
        return str
    if types <= {"BOOLEAN"}:
        return _bool
    return number if types <= {"UBIGINT", "BIGINT", "DOUBLE"} else _anything


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() in ("true", "false"):
        return bool(json.loads(str(value).lower()))
    raise ValueError("the label is neither true nor false")


def _anything(value: Any) -> Any:
    return value
