"""What monitors know, beside the log: counts of files and of slices of time, verdicts of windows, references, alarms.

It is one SQLite file.

Every change is one transaction, so that a monitor that is killed has either counted a slice or not. All but promoted
references, silences and what was already told is made from the log and can be made again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from salver.monitors.judge import Verdict
from salver.monitors.profile import Profile
from salver.monitors.results import FOLDER
from salver.monitors.window import Window, together

_FILE = "monitor.sqlite"
NEVER_US = 2**63 - 1
_TRACK = "(model, version, route, segment) = (?, ?, ?, ?)"
_COUNTED = """
create table if not exists slices (
  model text, version integer, route text, segment text, start integer, rows integer, data blob,
  primary key (model, version, route, segment, start)) without rowid;
create index if not exists rows_of_slices on slices (segment, start, model, version, route, rows);
create table if not exists verdicts (
  model text, version integer, route text, segment text, start integer, until integer, data blob,
  primary key (model, version, route, segment, start)) without rowid;
create table if not exists files (name text primary key, data blob) without rowid;
"""
_FORM = 1  # of what is counted: when it changes, all is counted again
_GIVEN = """
create table if not exists refs (model text, version integer, data blob, since integer, primary key (model, version));
create table if not exists told (alarm text primary key, begun integer, ended integer, silent integer);
"""


class Track(NamedTuple):
    """What is watched apart: a model version, by one route, and within it all rows ("") or a segment ("country=DE")."""

    model: str
    version: int
    route: str
    segment: str = ""

    def __str__(self) -> str:
        return f"{self.model}@{self.version}/{self.route}" + (f"/{self.segment}" if self.segment else "")


class CountedFile(msgspec.Struct):
    """A file of the log: up to where it was `read`, and the rows there by the start of their slice, of each model, version and
    route."""

    read: int
    rows: list[tuple[tuple[str, int, str], dict[int, int]]]


class Reference(msgspec.Struct):
    """A profile that windows are compared with, and from when on rows are counted (µs)."""

    profile: Profile
    since_us: int = 0


class Store:
    """The file in a log's folder. Everything that is written within `changing` is there afterwards, or nothing is."""

    def __init__(self, log: Path) -> None:
        self.folder = log / FOLDER
        self.folder.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(self.folder / _FILE, isolation_level=None, timeout=30)
        self._db.execute("pragma journal_mode = wal")
        self._db.executescript(_COUNTED + _GIVEN)

    def slice_by(self, slice_us: int) -> None:
        """Slices are as long as that from now on: those of another length go, and are counted again."""
        (before,) = self._db.execute("pragma user_version").fetchone()
        now = slice_us // 1_000_000 * 100 + _FORM
        if before != now:
            anew = f"drop table slices; drop table verdicts; drop table files; {_COUNTED} pragma user_version = {now};"
            self._db.executescript(f"begin immediate; {anew} commit;")

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def changing(self) -> Generator[None]:
        """A transaction."""
        self._db.execute("begin immediate")
        try:
            yield
            self._db.execute("commit")
        except BaseException:
            self._db.execute("rollback")
            raise

    def files(self) -> dict[str, CountedFile]:
        """By name, what was counted of each file of the log."""
        found = self._db.execute("select name, data from files").fetchall()
        return {name: msgspec.msgpack.decode(data, type=CountedFile, strict=False) for name, data in found}

    def put_files(self, counted: Mapping[str, CountedFile], gone: Iterable[str] = ()) -> None:
        """Files as they are counted now, without those that have gone."""
        with self.changing():
            self._db.executemany(
                "insert or replace into files values (?, ?)",
                [(name, msgspec.msgpack.encode(of)) for name, of in counted.items()],
            )
            self._db.executemany("delete from files where name = ?", [(name,) for name in gone])

    def tracks(self, model: str | None = None) -> list[Track]:
        """All that has slices, or those of one model."""
        found = self._db.execute("select distinct model, version, route, segment from slices order by 1, 2, 3, 4")
        return [track for track in (Track(*row) for row in found) if model in (None, track.model)]

    def counted(self, track: Track) -> dict[int, int]:
        """How many rows were counted in each slice, by its start."""
        query = f"select start, rows from slices where {_TRACK}"
        return dict(self._db.execute(query, track).fetchall())

    def rows(self, track: Track, since_us: int) -> dict[int, int]:
        """As `counted`, from a time on."""
        query = f"select start, rows from slices where {_TRACK} and start >= ?"
        return dict(self._db.execute(query, (*track, since_us)).fetchall())

    def answered(self, since_us: int, step_us: int) -> list[tuple[str, int, int]]:
        """The model, the number of the step from a time on, and the rows in it, all versions together; those of shadows not."""
        query = (
            "select model, (start - ?) / ? as step, sum(rows) from slices "
            "where segment = '' and start >= ? and route <> 'shadow' group by model, step"
        )
        return self._db.execute(query, (since_us, step_us, since_us)).fetchall()

    def put_slices(self, track: Track, windows: Iterable[Window]) -> None:
        """Slices as they are now; verdicts of windows that held them before are taken back."""
        for window in windows:
            self._db.execute(
                "insert or replace into slices values (?, ?, ?, ?, ?, ?, ?)",
                (*track, window.start_us, window.rows, window.to_bytes()),
            )
            self._db.execute(
                f"delete from verdicts where {_TRACK} and until > ?",
                (*track, window.start_us),
            )

    def slices(self, track: Track, since_us: int = 0, until_us: int = NEVER_US) -> list[Window]:
        """Those that begin in that time, in order."""
        query = f"select data from slices where {_TRACK} and start >= ? and start < ? order by start"
        return [Window.from_bytes(row[0]) for row in self._db.execute(query, (*track, since_us, until_us))]

    def put_verdict(self, track: Track, verdict: Verdict) -> None:
        row = (*track, verdict.start_us, verdict.end_us, msgspec.json.encode(verdict))
        self._db.execute("insert or replace into verdicts values (?, ?, ?, ?, ?, ?, ?)", row)

    def verdicts(self, track: Track, last: int) -> list[Verdict]:
        """Of the last windows that were judged, in order of time."""
        query = f"select data from verdicts where {_TRACK} order by start desc limit ?"
        found = self._db.execute(query, (*track, last)).fetchall()
        return [msgspec.json.decode(row[0], type=Verdict) for row in reversed(found)]

    def window(self, track: Track, start_us: int) -> Window | None:
        """The counts of the judged window that began then: those of its slices together."""
        row = self._db.execute(f"select until from verdicts where {_TRACK} and start = ?", (*track, start_us)).fetchone()
        return None if row is None else together(self.slices(track, start_us, row[0]))

    def reference(self, model: str, version: int) -> Reference | None:
        row = self._db.execute("select data from refs where model = ? and version = ?", (model, version)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=Reference)

    def put_reference(self, model: str, version: int, reference: Reference) -> None:
        """Compare with this from now on. What was counted over the old one's cells goes, and is counted again."""
        data = msgspec.json.encode(reference)
        self._db.execute("insert or replace into refs values (?, ?, ?, ?)", (model, version, data, reference.since_us))
        for table in ("slices", "verdicts"):
            self._db.execute(f"delete from {table} where model = ? and version = ?", (model, version))

    def told(self) -> dict[str, tuple[int, int, int]]:
        """By alarm: since when it was told (0: never), when its end was told, until when it is silent, in µs."""
        return {row[0]: row[1:] for row in self._db.execute("select alarm, begun, ended, silent from told")}

    def put_told(self, alarm: str, begun: int, ended: int, silent: int) -> None:
        self._db.execute("insert or replace into told values (?, ?, ?, ?)", (alarm, begun, ended, silent))

    def forget(self, before_us: int) -> None:
        """Remove slices and verdicts that are older than the log keeps its rows."""
        self._db.execute("delete from slices where start < ?", (before_us,))
        self._db.execute("delete from verdicts where until < ?", (before_us,))
