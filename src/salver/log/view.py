"""The log as tables to ask: `salver.log(store).sql("select …")`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from salver.config import store_folder
from salver.errors import ConfigError, first_line
from salver.log.blocks import unfolded
from salver.log.commit import Snapshot, snapshot
from salver.log.duck import connect, named, quoted, relation
from salver.log.flat import flat, models_named_in
from salver.log.table import LABELLED, PREDICTIONS, Table

if TYPE_CHECKING:
    import duckdb

    Relation = duckdb.DuckDBPyRelation

_TRIES = 6
_Read = TypeVar("_Read")

IN_FORCE = """
select * exclude (place) from (
  select *, row_number() over (partition by model, id, key order by ts desc) as place from labels
) where place = 1
"""
"""The last label for each id and for each key."""


class Log:
    """The predictions and labels of a store, hot and cold, each row once.

    Tables: `predictions`; `labels`, every label ever given; `labels_in_force`, the last for each id and each key; and one
    called as each model is, with a column for each of its inputs and outputs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        return f"<Log {self.folder}>"

    def sql(self, query: str, parameters: list[Any] | None = None) -> Answer:
        """What a query finds, when its rows are asked for."""
        return Answer(self.folder, query, parameters)

    def to_arrow(self, model: str | None = None) -> Any:
        """All predictions as a pyarrow Table; those of one model with a column for each input and output."""
        return self.sql(f"select * from {named(model or 'predictions')}").to_arrow()

    def models(self) -> list[str]:
        """The models that have predictions."""
        return [row[0] for row in self.sql("select distinct model from predictions order by 1").rows()]


def open_log(store: str | Path | None = None) -> Log:
    """The log of a store, by default of the store that commands use."""
    return Log((store_folder() if store is None else Path(store).expanduser()) / "log")


class Answer:
    """A query on the log. It is run, on what the log holds then, whenever its rows are asked for.

    Every reading method raises ConfigError for a query that DuckDB refuses.
    """

    def __init__(self, folder: Path, query: str, parameters: list[Any] | None) -> None:
        self._folder = folder
        self._query = query
        self._parameters = parameters

    def rows(self) -> list[tuple[Any, ...]]:
        return self._read(lambda found: found.fetchall())

    def dicts(self) -> list[dict[str, Any]]:
        """One dict a row."""
        return self._read(lambda found: [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()])

    def to_arrow(self) -> Any:
        """A pyarrow Table."""
        return self._read(lambda found: found.to_arrow_table())

    def to_pandas(self) -> Any:
        """A pandas DataFrame."""
        return self._read(lambda found: found.df())

    def to_numpy(self) -> dict[str, Any]:
        """One numpy array a column, masked where values are missing."""
        return self._read(lambda found: found.fetchnumpy())

    def save(self, path: Path, options: str) -> int:
        """Write the rows to a file, whole or not at all, with these options of DuckDB's COPY; how many there were."""
        part = path.with_name(f".{path.name}.part")
        copying = f"copy ({self._query}) to {quoted(part)} ({options})"
        try:
            made = asked(self._folder, lambda log: log.execute(copying, self._parameters).fetchall(), self._query)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return int(made[0][0])

    def _read(self, read: Callable[[Relation], _Read]) -> _Read:
        def run(log: duckdb.DuckDBPyConnection) -> _Read:
            found = log.sql(self._query, params=self._parameters)
            if found is None:  # pyright: ignore[reportUnnecessaryComparison]  # a statement without rows
                raise ConfigError("the log is only read: ask with select")
            return read(found)

        return asked(self._folder, run, self._query)


class Stretch(NamedTuple):
    """Rows of one model, from a time on and before another (µs): all that a question is about, so no other file is opened."""

    model: str
    since_us: int
    until_us: int

    def of(self, now: Snapshot) -> Snapshot:
        """The files that can have such rows: cold ones by model and day, hot ones by when they were last written."""
        first, last = (datetime.fromtimestamp(us / 1e6, UTC).date().isoformat() for us in (self.since_us, self.until_us))
        kept = {file.path for file in now.commit.files if file.model == self.model and first <= file.date <= last}
        cold = [path for path, file in zip(now.cold, now.commit.files, strict=True) if file.path in kept]
        hot = [path for path in now.hot if path.exists() and path.stat().st_mtime * 1e6 >= self.since_us]
        return now._replace(hot=hot, cold=cold)


def asked(
    folder: Path, ask: Callable[[duckdb.DuckDBPyConnection], _Read], query: str = "", only: Stretch | None = None
) -> _Read:
    """What `ask` makes of a connection that has the log's tables, and those of the models that `query` names.

    With `only`, predictions and labels are of the files that can have such rows. Raises ConfigError.
    """

    def read(connection: duckdb.DuckDBPyConnection, scratch: Path) -> _Read:
        define(connection, folder, query, scratch, only)
        return ask(connection)

    return steadily(read)


def steadily(read: Callable[[duckdb.DuckDBPyConnection, Path], _Read]) -> _Read:
    """What `read` makes of a connection and a folder of its own. It lists files and reads them.

    Begins again when a file was made cold, or removed, between the listing and its turn. Raises ConfigError.
    """
    connection = connect()
    import duckdb

    tries = 0
    with connection, TemporaryDirectory(prefix="salver-log-") as scratch:
        while True:
            try:
                return read(connection, Path(scratch))
            except (duckdb.IOException, FileNotFoundError) as error:
                tries += 1
                if tries == _TRIES or not ("No files found" in str(error) or "No such file" in str(error)):
                    raise ConfigError(f"the log can't be read: {first_line(error)}") from error
            except duckdb.Error as error:
                raise ConfigError(f"DuckDB refuses that: {first_line(error)}") from error


def define(connection: duckdb.DuckDBPyConnection, folder: Path, query: str, scratch: Path, only: Stretch | None = None) -> None:
    """The log's tables on a connection, as the log is now; what is in blocks is unfolded in `scratch` first."""
    for kind in (PREDICTIONS, LABELLED):
        now = snapshot(Table(folder, kind))
        if only is not None:
            now = only.of(now)
        if kind is PREDICTIONS:
            now = now._replace(hot=[*now.hot, *unfolded(now.hot, scratch)])
        rows = relation(kind, now)
        connection.execute(f"create or replace temp view {kind.name} as select *, make_timestamp(ts) as time from ({rows})")
    connection.execute(f"create or replace temp view labels_in_force as {IN_FORCE}")
    for model in models_named_in(connection, query):
        connection.execute(f"create or replace temp view {named(model)} as {flat(connection, model)}")
