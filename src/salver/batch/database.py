"""Tables of PostgreSQL, SQLite and DuckDB, in Arrow both ways: queries are read, tables are written in one transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import msgspec

from salver.batch import arrow
from salver.batch.job import Manifest
from salver.errors import ConfigError, first_line

Kind = Literal["postgresql", "sqlite", "duckdb"]

KINDS: dict[str, Kind] = {"postgresql": "postgresql", "postgres": "postgresql", "sqlite": "sqlite", "duckdb": "duckdb"}
JOBS = "salver_batches"
"""The table of a database that has the manifests of what was written to it."""


def is_database(text: str) -> bool:
    """Whether an input or an output is a database's: postgresql://…, sqlite:FILE, duckdb:FILE."""
    return text.partition(":")[0] in KINDS


class Database:
    """A database and, where one is named, a table in it: `URL#TABLE`."""

    def __init__(self, kind: Kind, address: str, table: str) -> None:
        self.kind = kind
        self.table = table
        self._address = address

    def __repr__(self) -> str:
        return f"<Database {self.name}>"

    @classmethod
    def parse(cls, text: str) -> Database:
        """Read `postgresql://host/db#table`, `sqlite:file.db#table` or `duckdb:file.db#table`. Raises ConfigError."""
        address, _, table = text.partition("#")
        scheme, _, rest = address.partition(":")
        kind = KINDS[scheme]
        if kind == "postgresql":
            return cls(kind, address, table)
        path = rest.removeprefix("//")
        if not path:
            raise ConfigError(f"{scheme}: names no file; write {scheme}:FILE#TABLE")
        return cls(kind, str(Path(path).expanduser().absolute()), table)

    @property
    def name(self) -> str:
        """What it is called where others may read it: without its password."""
        if self.kind != "postgresql":
            return f"{self.kind}:{self._address}#{self.table}"
        parts = urlsplit(self._address)
        host = parts.netloc.rpartition("@")[2]
        user = parts.username
        return urlunsplit(parts._replace(netloc=f"{user}@{host}" if user else host, query="")) + f"#{self.table}"

    def read(self, query: str | None) -> Generator[arrow.RecordBatch]:
        """The rows of a query, or of the table. Raises ConfigError."""
        if not query and not self.table:
            raise ConfigError(f"{self.name} names no table; write URL#TABLE, or give a --query")
        with self._connection() as connection, self._told():
            try:
                yield from connection.read(query or f"select * from {_named(self.table)}")
            except OSError as error:  # rows that stop coming, for the server is gone
                raise ConfigError(f"{self.name}: {first_line(error)}") from error

    def manifest(self) -> Manifest | None:
        """The job that wrote the table."""
        with self._connection() as connection, self._told():
            if not connection.has(self.table) or not connection.has(JOBS):
                return None
            found = connection.rows(f"select manifest from {JOBS} where output = {_quoted(self.table)}")
        return msgspec.json.decode(found[0][0], type=Manifest) if found else None

    def exists(self) -> bool:
        """Whether there is such a table."""
        if not self.table:
            raise ConfigError(f"{self.name} names no table; write URL#TABLE")
        with self._connection() as connection, self._told():
            return connection.has(self.table)

    def write(self, parts: list[Path], manifest: Manifest) -> None:
        """The rows of Parquet files as the table, instead of what it was, with the manifest: all of it or nothing."""
        import pyarrow
        from pyarrow.parquet import ParquetFile

        schema = ParquetFile(parts[0]).schema_arrow
        batches = (batch for part in parts for batch in ParquetFile(part).iter_batches(65_536))
        with self._connection() as connection, self._told():
            connection.run(f"drop table if exists {_named(self.table)}")
            connection.ingest(self.table, pyarrow.RecordBatchReader.from_batches(schema, batches))
            connection.run(f"create table if not exists {JOBS} (output varchar(500) primary key, manifest text)")
            connection.run(f"delete from {JOBS} where output = {_quoted(self.table)}")
            text = msgspec.json.encode(manifest).decode()
            connection.run(f"insert into {JOBS} values ({_quoted(self.table)}, {_quoted(text)})")
            connection.commit()

    @contextmanager
    def _connection(self) -> Generator[_DuckDB | _Adbc]:
        with self._told():
            opened = _DuckDB(self._address) if self.kind == "duckdb" else _Adbc(self.kind, self._address)
        try:
            yield opened
        finally:
            opened.close()

    @contextmanager
    def _told(self) -> Generator[None]:
        """A database's own errors as ours. They name tables and columns, and may name values: only their first line is told."""
        try:
            yield
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in ("duckdb", "_duckdb", "adbc_driver_manager"):
                raise
            raise ConfigError(f"{self.name}: {first_line(error)}") from error


class _Adbc:
    """A connection by ADBC: one transaction until it is committed."""

    def __init__(self, kind: str, address: str) -> None:
        try:
            if kind == "postgresql":
                import adbc_driver_postgresql.dbapi as driver

                self._connection = driver.connect(address)
            else:
                import adbc_driver_sqlite.dbapi as driver

                self._connection = driver.connect(f"file:{address}")
        except ImportError:
            raise ConfigError(f"{kind} needs a driver: pip install 'salver[sql]'") from None
        self._catalog = "sqlite_master where name" if kind == "sqlite" else "information_schema.tables where table_name"

    def read(self, query: str) -> Iterator[arrow.RecordBatch]:
        with self._connection.cursor() as cursor:
            cursor.execute(query)
            yield from cursor.fetch_record_batch()

    def rows(self, query: str) -> list[Any]:
        with self._connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    def run(self, statement: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)

    def has(self, table: str) -> bool:
        return bool(self.rows(f"select 1 from {self._catalog} = {_quoted(table.rpartition('.')[2])}"))

    def ingest(self, table: str, rows: arrow.Reader) -> None:
        schema, _, name = table.rpartition(".")
        with self._connection.cursor() as cursor:
            cursor.adbc_ingest(name, rows, mode="create", db_schema_name=schema or None)

    def commit(self) -> None:
        self._connection.commit()

    def close(self) -> None:
        self._connection.close()  # what is not committed never was


class _DuckDB:
    """A connection by DuckDB's own module, whose ADBC driver commits what it takes in at once."""

    def __init__(self, address: str) -> None:
        try:
            import duckdb
        except ImportError:
            raise ConfigError("duckdb: needs DuckDB: pip install 'salver[log]'") from None
        self._connection = duckdb.connect(address)
        self._connection.begin()

    def read(self, query: str) -> Iterator[arrow.RecordBatch]:
        reader: Any = self._connection.sql(query).to_arrow_reader(65_536)
        yield from reader

    def rows(self, query: str) -> list[Any]:
        return self._connection.execute(query).fetchall()

    def run(self, statement: str) -> None:
        self._connection.execute(statement)

    def has(self, table: str) -> bool:
        name = table.rpartition(".")[2]
        return bool(self.rows(f"select 1 from information_schema.tables where table_name = {_quoted(name)}"))

    def ingest(self, table: str, rows: arrow.Reader) -> None:
        self._connection.register("incoming", rows)
        self._connection.execute(f"create table {_named(table)} as select * from incoming")

    def commit(self) -> None:
        self._connection.commit()

    def close(self) -> None:
        self._connection.close()


def spooled(batches: Iterable[arrow.RecordBatch], path: Path) -> str:
    """Keep a query's rows as a Parquet file. Returns a digest of them, in their order."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    digest = hashlib.sha256()
    writer = None
    for batch in batches:
        table = _with_numbers(pyarrow.Table.from_batches([batch]))
        if writer is None:
            writer = ParquetWriter(path, table.schema)
            digest.update(str(table.schema).encode())
        for part in table.to_batches():
            digest.update(part.serialize())
        writer.write_table(table)
    if writer is None:
        raise ConfigError("the query gives nothing, not even columns")
    writer.close()
    return digest.hexdigest()


def _with_numbers(table: arrow.Table) -> arrow.Table:
    """PostgreSQL's numeric comes as text of a type of its own; a model takes numbers."""
    import pyarrow

    for at, field in enumerate(table.schema):
        if isinstance(field.type, pyarrow.OpaqueType):
            column = table.column(at).cast(field.type.storage_type)
            if field.type.type_name == "numeric":
                column = column.cast(pyarrow.float64())
            table = table.set_column(at, field.name, column)
    return table


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _named(table: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in table.split("."))
