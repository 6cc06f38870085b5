"""DuckDB over the log: one relation of hot lines and cold Parquet. Never imported where predictions are served."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from salver.errors import ConfigError
from salver.log.commit import Snapshot
from salver.log.registered import Registered, registered
from salver.log.table import Kind

if TYPE_CHECKING:
    import duckdb

MEMORY = "1GB"
LINE_BYTES = 64 * 2**20
"""The longest line that is read."""


def connect(spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """A connection of its own, in memory, with bounded memory. Raises ConfigError where DuckDB is not installed."""
    try:
        import duckdb
    except ImportError:
        raise ConfigError("reading the log needs DuckDB: pip install 'salver[log]'") from None
    connection = duckdb.connect(config={"memory_limit": MEMORY, "preserve_insertion_order": "false"})
    connection.execute("set enable_progress_bar = false; set timezone = 'UTC'")
    if spill is not None:
        connection.execute(f"set temp_directory = {quoted(spill)}")
    return connection


def quoted(value: object) -> str:
    """A value as an SQL string."""
    return "'" + str(value).replace("'", "''") + "'"


def named(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def relation(kind: Kind, now: Snapshot) -> str:
    """SQL for all rows of a table, each once, with the columns of `kind` and `date`."""
    parts = [f"select {', '.join(kind.columns)}, {date_of('ts')} as date from ({lines(kind, now.hot)})"] if now.hot else []
    if now.cold:
        parts.append(f"select {', '.join(kind.columns)}, date from ({parquet(kind, now.cold)})")
    if not parts:
        parts.append(f"select {_nothing(kind)}")
    return " union all ".join(parts)


def lines(kind: Kind, segments: Iterable[Path]) -> str:
    """SQL for the whole lines of hot segments. Torn ones are passed over."""
    return (
        f"select * from read_json({_listed(segments)}, format = 'newline_delimited', columns = {_struct(kind.columns)}, "
        f"ignore_errors = true, maximum_object_size = {LINE_BYTES}) where {kind.needed} is not null"
    )


def parquet(kind: Kind, files: Iterable[Path]) -> str:
    """SQL for the rows of cold files, those that were registered from elsewhere among them."""
    known = list(files)
    own = [path for path in known if path.suffix == ".parquet"]
    columns = ", ".join([*kind.columns, "date"])
    parts = [_elsewhere(found) for path in known if path not in own and (found := registered(path)) and found.files]
    if own or not parts:
        parts.append(
            f"select {columns} from read_parquet({_listed(own)}, hive_partitioning = true, "
            f"hive_types = {_struct(kind.partition, str)}, union_by_name = true)"
            if own
            else f"select {_nothing(kind)}"
        )
    return " union all ".join(parts)


def _elsewhere(rows: Registered) -> str:
    """SQL for predictions in the output of a batch job, with the columns of the table and `date`."""
    inputs = ", ".join(f"{quoted(name)}, {_value(column, rows)}" for name, column in rows.inputs.items())
    outputs = ", ".join(
        f"{quoted(name)}, " + (_value(columns[0], rows) if len(columns) == 1 else f"[{', '.join(map(named, columns))}]")
        for name, columns in rows.outputs.items()
    )
    key = f"{named(rows.key)}::VARCHAR" if rows.key else "null::VARCHAR"
    return (
        f"select id::UUID as id, {rows.ts}::BIGINT as ts, {quoted(rows.model)} as model, {rows.version}::INTEGER as version, "
        f"'batch' as route, 'batch' as source, null::BIGINT as latency_us, json_object({inputs}) as inputs, "
        f"json_object({outputs}) as outputs, {key} as key, null::VARCHAR as trace, flags::JSON as flags, "
        f"null::DOUBLE as weight, {quoted(rows.date)}::DATE as date from read_parquet({_listed(map(Path, rows.files))})"
    )


def _value(column: str, rows: Registered) -> str:
    """A column as JSON has it: no NaN, and infinities by name."""
    if column not in rows.floats:
        return named(column)
    name = named(column)
    return (
        f"case when isnan({name}) then null when isinf({name}) then "
        f"to_json(if({name} > 0, 'Infinity', '-Infinity')) else to_json({name}) end"
    )


def _nothing(kind: Kind) -> str:
    return ", ".join(f"null::{dtype} as {name}" for name, dtype in kind.columns.items()) + ", null::DATE as date where false"


def date_of(ts: str) -> str:
    """SQL for the day (UTC) of a time in µs."""
    return f"make_timestamp({ts})::DATE"


def _listed(paths: Iterable[Path]) -> str:
    return "[" + ", ".join(quoted(path) for path in paths) + "]"


def _struct(types: Mapping[str, str], form: type | None = None) -> str:
    return "{" + ", ".join(f"{quoted(name)}: {dtype if form else quoted(dtype)}" for name, dtype in types.items()) + "}"
