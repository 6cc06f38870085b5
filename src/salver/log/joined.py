"""Predictions joined with their labels, one row a prediction, kept beside the log and brought up to date with what is new.

`joined/MODEL.duckdb` holds nothing that the log does not: it can be removed at any time and is then made again. What was
erased from the log, or has become too old for it, is a reason to make it again too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from salver.errors import ConfigError
from salver.log.commit import snapshot
from salver.log.duck import connect, lines, parquet, quoted
from salver.log.locks import held
from salver.log.table import LABELLED, PREDICTIONS, Kind, Table

if TYPE_CHECKING:
    import duckdb

FOLDER = "joined"
_TRIES = 5

# JSON of one value as text that is equal where the values are: 1 and 1.0 are, 1 and "1" are not.
_SPELLED = """
create or replace temp macro spelled(value) as case
  when value is null or value = 'null' then null
  when starts_with(value, '"') then value
  else coalesce(try_cast(value as DOUBLE)::VARCHAR, value) end
"""

_TABLES = """
create table if not exists joined (
  id UUID, ts BIGINT, version INTEGER, route VARCHAR, key VARCHAR, weight DOUBLE, prediction VARCHAR, probabilities DOUBLE[],
  label VARCHAR, label_weight DOUBLE, label_ts BIGINT);
create table if not exists given (id UUID, key VARCHAR, label VARCHAR, weight DOUBLE, ts BIGINT);
create table if not exists sources (path VARCHAR, size BIGINT);
create table if not exists epochs (kind VARCHAR, epoch BIGINT);
"""

_FRESH = """
create or replace temp table fresh as
select id, ts, version, route, key, weight, spelled((outputs->'/prediction')::VARCHAR) as prediction,
  try_cast(outputs->'/probabilities' as DOUBLE[]) as probabilities
from ({rows}) as rows where model = {model} {unless}
"""

_CHANGED = """
create or replace temp table changed as
select id, key, spelled(last.label) as label, last.weight as weight, last.ts as ts from (
  select id, key, arg_max({{'label': label::VARCHAR, 'weight': weight, 'ts': ts}}, ts) as last
  from ({rows}) as rows where model = {model} group by id, key)
"""

_GIVE = """
delete from changed using given where changed.ts <= given.ts
  and changed.id is not distinct from given.id and changed.key is not distinct from given.key;
delete from given using changed where given.id = changed.id and changed.id is not null;
delete from given using changed where given.key = changed.key and changed.key is not null;
insert into given select id, key, label, weight, ts from changed;
update joined set label = changed.label, label_weight = changed.weight, label_ts = changed.ts from changed
  where joined.id = changed.id and changed.ts > coalesce(joined.label_ts, 0);
update joined set label = changed.label, label_weight = changed.weight, label_ts = changed.ts from changed
  where joined.key = changed.key and changed.ts > coalesce(joined.label_ts, 0);
"""

_JOIN = """
insert into joined
select fresh.*,
  case when coalesce(k.ts, 0) > coalesce(i.ts, 0) then k.label else i.label end,
  case when coalesce(k.ts, 0) > coalesce(i.ts, 0) then k.weight else i.weight end,
  case when coalesce(k.ts, 0) > coalesce(i.ts, 0) then k.ts else i.ts end
from fresh
left join (select * from given where id is not null) i on i.id = fresh.id
left join (select * from given where key is not null) k on k.key = fresh.key
"""


class News(NamedTuple):
    """What a table has that was not read before: files to read whole, and the ends that files have grown."""

    hot: list[Path]
    cold: list[Path]
    sizes: dict[str, int]


@contextmanager
def joined(log: Path, model: str) -> Generator[duckdb.DuckDBPyConnection]:
    """A connection with the table `joined`, up to date: a row for each prediction of the model, its label in force beside it.

    Raises ConfigError where DuckDB is not installed or the log can't be read.
    """
    folder = log / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder / f".{model}.lock", wait=True), connect(folder / ".spill") as connection:
        import duckdb

        for tried in range(_TRIES):
            try:
                _refresh(connection, log, model, folder / f"{model}.duckdb")
                break
            except duckdb.IOException as error:  # a file became cold meanwhile
                if tried == _TRIES - 1:
                    raise ConfigError(f"the log can't be read: {str(error).splitlines()[0]}") from error
        yield connection


def forget(log: Path) -> None:
    """Remove what was joined. It is made again when it is asked for."""
    for path in (log / FOLDER).glob("*.duckdb*"):
        path.unlink(missing_ok=True)


def _refresh(connection: duckdb.DuckDBPyConnection, log: Path, model: str, file: Path) -> None:
    now = {kind.name: snapshot(Table(log, kind)) for kind in (PREDICTIONS, LABELLED)}
    _open(connection, file, {name: of.commit.epoch for name, of in now.items()})
    known = dict(connection.execute("select path, size from sources").fetchall())
    with tempfile.TemporaryDirectory() as ends:
        connection.execute("begin")
        try:
            labels = _news(now["labels"].hot, now["labels"].cold, known, Path(ends))
            predictions = _news(now["predictions"].hot, now["predictions"].cold, known, Path(ends))
            if labels.sizes:
                connection.execute(_CHANGED.format(rows=_rows(LABELLED, labels), model=quoted(model)))
                connection.execute(_GIVE)
            if predictions.sizes:
                unless = "and id not in (select id from joined)" if known else ""
                connection.execute(_FRESH.format(rows=_rows(PREDICTIONS, predictions), model=quoted(model), unless=unless))
                connection.execute(_JOIN)
            _remember(connection, {**labels.sizes, **predictions.sizes})
            connection.execute("commit")
        except BaseException:
            connection.execute("rollback")
            raise


def _open(connection: duckdb.DuckDBPyConnection, file: Path, epochs: dict[str, int]) -> None:
    """Attach what was joined before; an empty one where rows have gone from the log since."""
    for _ in range(2):
        connection.execute(f"use memory; detach database if exists kept; attach {quoted(file)} as kept; use kept")
        connection.execute(_TABLES + _SPELLED)
        before = dict(connection.execute("select kind, epoch from epochs").fetchall())
        if before == epochs:
            return
        if not before:
            connection.executemany("insert into epochs values (?, ?)", list(epochs.items()))
            return
        connection.execute("use memory; detach kept")
        file.unlink()


def _news(hot: Iterable[Path], cold: Iterable[Path], known: dict[str, int], ends: Path) -> News:
    news = News([], [path for path in cold if str(path) not in known], {})
    news.sizes.update({str(path): 0 for path in news.cold})
    for path in hot:
        size, before = path.stat().st_size, known.get(str(path))
        if before is None:
            news.hot.append(path)
            news.sizes[str(path)] = size
        elif size > before:
            end = ends / path.name
            with path.open("rb") as file:
                file.seek(before)
                grown = file.read(size - before)
            end.write_bytes(grown[: grown.rfind(b"\n") + 1])
            news.hot.append(end)
            news.sizes[str(path)] = before + end.stat().st_size
    return news


def _rows(kind: Kind, news: News) -> str:
    columns = ", ".join(kind.columns)
    parts = [f"select {columns} from ({lines(kind, news.hot)})"] if news.hot else []
    parts += [f"select {columns} from ({parquet(kind, news.cold)})"] if news.cold else []
    return " union all ".join(parts)


def _remember(connection: duckdb.DuckDBPyConnection, sizes: dict[str, int]) -> None:
    if sizes:
        connection.execute(f"delete from sources where path in ({', '.join(map(quoted, sizes))})")
        connection.executemany("insert into sources values (?, ?)", list(sizes.items()))
