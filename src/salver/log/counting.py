"""What became of labels that were just given: how many found their prediction, how many were known already.

`python -m salver.log.counting LOG` answers a server, so that it need not import DuckDB: a line of JSON in (batches of labels,
each in a file), a line of JSON out. It ends when its input does.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from salver.errors import SalverError
from salver.log.duck import quoted
from salver.log.view import asked

if TYPE_CHECKING:
    import duckdb

_COLUMNS = "{'ts': 'BIGINT', 'model': 'VARCHAR', 'label': 'JSON', 'id': 'UUID', 'key': 'VARCHAR', 'weight': 'DOUBLE'}"

# Everything ever said about the ids and keys of a batch, in order: a label is new, said before, or another than the last.
_COUNT = """
with batch as materialized (select *, row_number() over () as place from ({batch})),
seen_ids as (select distinct id from predictions where id in (select id from batch) and model = {model}),
seen_keys as (select distinct key from predictions where key in (select key from batch) and model = {model}),
said as (
  select ts, id, key, label, weight, null as place from labels
  where ts < {first} and model = {model}
    and (id in (select id from batch where id is not null) or key in (select key from batch where key is not null))
  union all select ts, id, key, label, weight, place from batch
),
told as (
  select place, id, key, label, weight,
    lag(ts) over w as before, lag(label) over w as last, lag(weight) over w as last_weight
  from said window w as (partition by id, key order by ts)
)
select
  count(*) filter (where seen_ids.id is not null or seen_keys.key is not null) as matched,
  count(*) filter (where seen_ids.id is null and seen_keys.key is null) as unknown,
  count(*) filter (where before is null) as new,
  count(*) filter (where before is not null and {same}) as duplicate,
  count(*) filter (where before is not null and not {same}) as revised
from told left join seen_ids using (id) left join seen_keys using (key)
where place is not null
"""
_SAME = (
    "((told.label::VARCHAR is not distinct from last::VARCHAR or try_cast(told.label::VARCHAR as DOUBLE) = "
    "try_cast(last::VARCHAR as DOUBLE)) and weight is not distinct from last_weight)"
)


class Counts(msgspec.Struct):
    """`matched` + `unknown` = `new` + `duplicate` + `revised` = labels taken. Those that are unknown wait for a prediction."""

    matched: int = 0
    unknown: int = 0
    new: int = 0
    duplicate: int = 0
    revised: int = 0


class Batch(msgspec.Struct):
    """Labels that are in the log already: the file has their lines, `first` is the time of the first."""

    file: str
    model: str
    first: int


def count(log: Path, batch: Batch) -> Counts:
    """What became of a batch. Raises ConfigError."""
    rows = f"select * from read_json({quoted(batch.file)}, format = 'newline_delimited', columns = {_COLUMNS})"
    query = _COUNT.format(batch=rows, model=quoted(batch.model), first=batch.first, same=_SAME)

    def ask(connection: duckdb.DuckDBPyConnection) -> Counts:
        found = connection.execute(query).fetchone()
        assert found
        return Counts(*found)

    return asked(log, ask)


def main() -> int:
    """Answer batches until there are none."""
    log, decode = Path(sys.argv[1]), msgspec.json.Decoder(Batch).decode
    for line in sys.stdin.buffer:
        try:
            answer = msgspec.json.encode(count(log, decode(line)))
        except SalverError as error:
            answer = msgspec.json.encode({"error": error.message})
        sys.stdout.buffer.write(answer + b"\n")
        sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
