"""Predictions that are searched for in the log. The queries are of the log's own tables."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from salver.dashboard.turn import Turn
from salver.errors import ConfigError, InputError, NotFound
from salver.log.duck import quoted
from salver.log.flat import typed
from salver.log.view import Stretch, asked
from salver.monitors.accuracy import since
from salver.types.signature import Signature

if TYPE_CHECKING:
    import duckdb

PAGE_ROWS = 50
MINUTE_US = 60 * 1_000_000
FIELDS = "id::VARCHAR, ts, version, route, source, latency_us, key, trace, inputs, outputs, flags, weight"
OPERATORS = {"is": "=", "not": "<>", "above": ">", "below": "<", "missing": ""}
PREDICTION = "→ prediction"
"""What stands for the answer where a column is chosen."""
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


class Found(NamedTuple):
    """A prediction as the log has it. `inputs`, `outputs` and `flags` are decoded."""

    id: str
    ts: int
    version: int
    route: str
    source: str
    latency_us: int | None
    key: str | None
    trace: str | None
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    flags: dict[str, str]
    weight: float | None


class Search(NamedTuple):
    """What is searched for. `text` is an id or a key; `column`, `operator` and `value` are of an input or of the prediction."""

    model: str
    since_us: int
    until_us: int
    text: str = ""
    version: str = ""
    route: str = ""
    column: str = ""
    operator: str = "is"
    value: str = ""
    flagged: bool = False


class Listed(NamedTuple):
    """The latest that were found, the latest first; `before_us`: where the next page begins."""

    rows: list[Found]
    before_us: int | None


def search_of(model: str, query: dict[str, Any], now_s: float) -> Search:
    """What a form says. Raises ConfigError for a time that is none, InputError for an operator that is none."""
    now_us = int(now_s * 1e6)
    until_us = since(query["until"], now_us) if query["until"] else now_us + MINUTE_US
    before = query["before"]
    if before.isdecimal():
        until_us = min(until_us, int(before))
    operator = query["operator"] or "is"
    if operator not in OPERATORS:
        raise InputError(f"a value is compared by one of {', '.join(OPERATORS)}")
    return Search(
        model, since(query["since"] or "24h", now_us), until_us, query["text"].strip(), query["version"], query["route"],
        query["column"], operator, query["value"], bool(query["flagged"]),
    )  # fmt: skip


def search(log: Path, wanted: Search, signature: Signature | None, turn: Turn) -> Listed:
    """The latest that fit. The last minutes are looked through first, then ever more, since most ask for what is new.

    Of a key there is little, at any time: all is looked through at once.
    """
    where, values = _conditions(wanted, signature)
    since_us, until_us = wanted.since_us, wanted.until_us
    if is_id(wanted.text):
        found = one(log, wanted.model, wanted.text.lower(), turn)
        return Listed([found] if found else [], None)
    made: list[Found] = []
    span_us = until_us - since_us if wanted.text else 15 * MINUTE_US
    while until_us > since_us and len(made) <= PAGE_ROWS:
        first = max(since_us, until_us - span_us)
        made += _latest(log, Stretch(wanted.model, first, until_us), where, values, PAGE_ROWS + 1 - len(made), turn)
        until_us, span_us = first, span_us * 6
    return Listed(made[:PAGE_ROWS], made[PAGE_ROWS - 1].ts if len(made) > PAGE_ROWS else None)


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def _conditions(wanted: Search, signature: Signature | None) -> tuple[str, list[Any]]:
    where: list[str] = ["model = ?"]
    values: list[Any] = [wanted.model]
    if wanted.text:
        where.append("key = ?")
        values.append(wanted.text)
    if wanted.version.isdecimal():
        where.append("version = ?")
        values.append(int(wanted.version))
    if wanted.route:
        where.append("route = ?")
        values.append(wanted.route)
    if wanted.flagged:
        where.append("flags is not null")
    if wanted.column and (wanted.value or wanted.operator == "missing"):
        condition, given = _condition(wanted, signature)
        where.append(condition)
        values += given
    return " and ".join(where), values


def _condition(wanted: Search, signature: Signature | None) -> tuple[str, list[Any]]:
    of_output = wanted.column == PREDICTION
    name = signature.prediction.name if of_output and signature else "prediction" if of_output else wanted.column
    source = "outputs" if of_output else "inputs"
    if wanted.operator == "missing":
        return f"{typed(source, name)} is null", []
    operator = OPERATORS[wanted.operator]
    try:
        number = float(wanted.value)
    except ValueError:
        if operator in "<>":
            raise InputError("above and below need a number") from None
        return f"{typed(source, name)} {operator} ?", [wanted.value]
    if operator in "<>":
        return f"{typed(source, name, 'DOUBLE')} {operator} ?", [number]
    either = f"({typed(source, name)} = ? or {typed(source, name, 'DOUBLE')} = ?)"
    return either if operator == "=" else f"not {either}", [wanted.value, number]


def _latest(log: Path, of: Stretch, where: str, values: Sequence[Any], limit: int, turn: Turn) -> list[Found]:
    def ask(connection: duckdb.DuckDBPyConnection) -> list[Found]:
        connection.execute("set threads = 1")  # predictions come first
        with turn.asking(connection):
            at = f"{where} and ts >= {of.since_us} and ts < {of.until_us}"
            # Which ones first, and then all of those few: their values are long.
            found = connection.execute(
                f"select id::VARCHAR, ts from predictions where {at} order by ts desc, id desc limit {limit}", values
            )
            ids = found.fetchall()
            if not ids:
                return []
            first, last = min(ts for _, ts in ids), max(ts for _, ts in ids)
            listed = ", ".join(f"{quoted(made_id)}::UUID" for made_id, _ in ids)
            rows = connection.execute(
                f"select {FIELDS} from predictions where {where} and ts between {first} and {last} and id in ({listed}) "
                "order by ts desc, id desc",
                values,
            )
            return [found_in(row) for row in rows.fetchall()]

    return asked(log, ask, only=of)


def found_in(row: tuple[Any, ...]) -> Found:
    *first, inputs, outputs, flags, weight = row
    decoded = (msgspec.json.decode(text or "{}") for text in (inputs, outputs, flags))
    return Found._make([*first, *decoded, weight])


def one(log: Path, model: str, made_id: str, turn: Turn) -> Found | None:
    """The prediction of that id: its time is in it, but for batches, which are then looked for everywhere."""
    at_us = int(made_id.replace("-", "")[:12], 16) * 1000
    for of in (Stretch(model, at_us - 10 * MINUTE_US, at_us + 10 * MINUTE_US), Stretch(model, 0, time.time_ns() // 1000)):

        def ask(connection: duckdb.DuckDBPyConnection, of: Stretch = of) -> Found | None:
            connection.execute("set threads = 1")
            with turn.asking(connection):
                found = connection.execute(
                    f"select {FIELDS} from predictions where model = ? and id = ?::UUID and ts >= ? and ts < ? limit 1",
                    [model, made_id, of.since_us, of.until_us],
                ).fetchone()
            return found_in(found) if found else None

        if (found := asked(log, ask, only=of)) is not None:
            return found
    return None


def require_log(log: Path | None) -> Path:
    """Raises ConfigError, which says what to do, where there is nothing to search."""
    if log is None:
        raise ConfigError("this server keeps no log; start it without --no-log")
    from importlib.util import find_spec

    if find_spec("duckdb") is None:
        raise ConfigError(
            "the log is searched with DuckDB: pip install 'salver[log]' beside the server, then load this page again"
        )
    return log


def require_found(found: Found | None) -> Found:
    """Raises NotFound."""
    if found is None:
        raise NotFound("the log has no such prediction; it may be too old, or was erased")
    return found
