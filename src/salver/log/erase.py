"""Erasing what is known under business keys: every prediction, every label, hot and cold.

Hot lines are blanked where they stand, also in segments that are being written, since a writer only ever adds. Cold files that
hold rows of the keys are written anew without them. What is erased is gone when `erase` returns; to be killed midway does no
harm, and erasing again finishes it.

`python -m salver.log.erase LOG` does so for a server, which need not import DuckDB then: JSON in, JSON out. Keys are of
persons, so they are not in its command line, which all processes of a machine can read.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import msgspec

from salver.log.commit import latest, snapshot, succeed, sweep
from salver.log.compact import write
from salver.log.duck import connect, parquet, quoted
from salver.log.joined import forget
from salver.log.locks import held
from salver.log.policy import hashed
from salver.log.secret import FILE as SECRET
from salver.log.secret import secret_of
from salver.log.table import LABELLED, LOCK, PREDICTIONS, Table


class Erased(NamedTuple):
    """How many were removed."""

    predictions: int
    labels: int


class Keys(msgspec.Struct):
    """Whose predictions of a model are to be erased."""

    model: str
    keys: list[str]


class _Line(msgspec.Struct):
    model: str = ""
    id: str | None = None
    key: str | None = None


def erase(log: Path, model: str, *given: str) -> Erased:
    """Erase the predictions of a model that have one of these keys, with their labels. Waits for compaction to end."""
    keys = set(given)
    if (log / SECRET).is_file():
        secret = secret_of(log)
        keys |= {hashed(key, secret) for key in given}
    predictions, labels = Table(log, PREDICTIONS), Table(log, LABELLED)
    with ExitStack() as stack:
        for table in (predictions, labels):
            stack.enter_context(held(table.folder / LOCK, wait=True))
        ids = _ids(predictions, model, keys)
        erased = Erased(labels=_erase(labels, model, keys, ids), predictions=_erase(predictions, model, keys, ids))
    forget(log)
    return erased


def _ids(table: Table, model: str, keys: set[str]) -> set[str]:
    now = snapshot(table)
    found: set[str] = set()
    for path in now.hot:
        _scan(path, lambda line: line.model == model and line.key in keys, lambda at, size, line: found.add(str(line.id)))
    if now.cold:
        query = f"select id::VARCHAR from ({parquet(table.kind, now.cold)}) where {_condition(model, keys, set())}"
        with connect() as connection:
            found.update(row[0] for row in connection.execute(query).fetchall())
    return found


def _erase(table: Table, model: str, keys: set[str], ids: set[str]) -> int:
    def is_meant(line: _Line) -> bool:
        return line.model == model and (line.key in keys or line.id in ids)

    now = snapshot(table)
    erased = 0
    for path in table.segments():
        blanked = _blank(path, is_meant)
        erased += blanked if path in now.hot else 0  # the others are cold already and counted there
    condition = _condition(model, keys, ids)
    before = now.commit
    with connect() as connection:
        for file in before.files:
            rows = parquet(table.kind, [table.folder / file.path])
            found = connection.execute(f"select count(*) from ({rows}) where {condition}").fetchone()
            if file.model == model and found and found[0]:
                kept = f"select * from ({rows}) where ({condition}) is not true"
                before = succeed(
                    table, before, added=write(table, before.number + 1, kept), dropped={file.path}, lost=True
                )  # fmt: skip
                erased += int(found[0])
    succeed(table, latest(table), lost=True)
    sweep(table, latest(table), grace_s=0)
    return erased


def _condition(model: str, keys: set[str], ids: set[str]) -> str:
    listed = ", ".join(map(quoted, keys))
    by_id = f" or id in ({', '.join(map(quoted, ids))})" if ids else ""
    return f"model = {quoted(model)} and (key in ({listed}){by_id})"


def _blank(path: Path, is_meant: Callable[[_Line], bool]) -> int:
    """Write spaces over the lines that are meant; how many they were."""
    places: list[tuple[int, int]] = []
    _scan(path, is_meant, lambda at, size, line: places.append((at, size)))
    if places:
        file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            for at, size in places:
                os.pwrite(file, b" " * size, at)
            os.fsync(file)
        finally:
            os.close(file)
    return len(places)


def _scan(path: Path, is_meant: Callable[[_Line], bool], found: Callable[[int, int, _Line], object]) -> None:
    """Call `found` with place, length and content of every whole line that is meant."""
    decode = msgspec.json.Decoder(_Line).decode
    at = 0
    try:
        with path.open("rb") as lines:
            for raw in lines:
                try:
                    line = decode(raw)
                    if raw.endswith(b"\n") and is_meant(line):
                        found(at, len(raw) - 1, line)
                except msgspec.DecodeError:
                    pass  # torn, or blanked
                at += len(raw)
    except FileNotFoundError:
        return


def main() -> int:
    """Erase what standard input names, and say how many went."""
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Keys)
    sys.stdout.buffer.write(msgspec.json.encode(erase(Path(sys.argv[1]), asked.model, *asked.keys)._asdict()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
