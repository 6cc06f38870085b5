"""Rows of a log are counted file by file, each once; those that are drawn are the same wherever they lie."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from salver.engine.ids import IdSource
from salver.log import blocks
from salver.log.commit import snapshot
from salver.log.compact import compact
from salver.log.duck import connect
from salver.log.erase import erase
from salver.log.heads import PLACE, Origin, bound
from salver.log.record import Record, encoder
from salver.log.segment import SegmentWriter
from salver.log.table import PREDICTIONS, Table
from salver.log.view import Log
from salver.monitors import tally as module
from salver.monitors.store import Store
from salver.monitors.tally import Tally

SLICE_US = 60_000_000
START_US = 1_760_000_000_000_000 // SLICE_US * SLICE_US
OURS, OTHERS = Origin("m", 1, "live"), Origin("n", 2, "canary")
STARTS = [START_US, START_US + SLICE_US]


def lines(count: int, origin: Origin = OURS, key: str | None = None) -> bytes:
    """Rows over two slices, one after another."""
    ids = IdSource()
    made: list[Record] = []
    for n in range(count):
        ts = START_US + n * 2 * SLICE_US // count
        made.append(Record(ids.batch(1, ts // 1000)[0], ts, *origin, "http", 9, {"x": n}, {"prediction": 1}, key))
    return encoder.encode_lines(made)


def block(count: int, ts: int = START_US) -> bytes:
    arrays, data, others = blocks.packed({"x": np.arange(float(count))}, slice(0, count))
    ids, outputs = IdSource().batch(count, ts // 1000), {"prediction": [1] * count}
    return encoder.encode(
        blocks.Block(count, ts, *OURS, "http", 9, ids, ["x"], arrays, data, others, outputs)
    ) + b"\n"  # fmt: skip


def write(log: Path, *parts: bytes) -> None:
    writer = SegmentWriter(log)
    for part in parts:
        writer.append(part)
    writer.close()


@contextmanager
def tallied(log: Path, scratch: Path) -> Iterator[Tally]:
    """The log's tally, up to date."""
    store = Store(log)
    store.slice_by(SLICE_US)
    with connect() as connection:
        made = Tally(log, store, connection, SLICE_US, scratch)
        made.refresh()
        yield made
    store.close()


def drawn(of: Tally, origin: Origin, starts: list[int], every: int) -> set[tuple[str, Any]]:
    """Their ids and what they hold."""
    where = f"model = '{origin.model}' and route = '{origin.route}' and {PLACE} < {bound(every)}"
    where += f" and ts // {SLICE_US} * {SLICE_US} in ({', '.join(map(str, starts))})"
    made: set[tuple[str, Any]] = set()
    with connect() as connection:
        for relation in of.relations(origin, starts, every):
            found = connection.execute(
                f"select id::VARCHAR, (inputs->>'/x')::DOUBLE from ({relation}) where {where}"
            ).fetchall()
            assert made.isdisjoint(found)
            made.update(found)
    return made


def rows(log: Path, scratch: Path) -> dict[Origin, dict[int, int]]:
    with tallied(log, scratch) as found:
        return found.rows


def test_all_rows_are_counted_wherever_they_lie_and_each_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    write(log, lines(100), block(300), lines(40, OTHERS))
    wanted = {OURS: {START_US: 350, START_US + SLICE_US: 50}, OTHERS: {START_US: 20, START_US + SLICE_US: 20}}
    assert rows(log, tmp_path) == wanted
    read: list[Path] = []
    seen = module.heads
    monkeypatch.setattr(module, "heads", lambda path, *more: read.append(path) or seen(path, *more))
    assert rows(log, tmp_path) == wanted and read == [], "what was counted is not read again"
    write(log, lines(2))
    wanted[OURS] = {START_US: 351, START_US + SLICE_US: 51}
    assert rows(log, tmp_path) == wanted and len(read) == 1
    compact(log)
    assert not snapshot(Table(log, PREDICTIONS)).hot
    assert rows(log, tmp_path) == wanted and len(read) == 1
    monkeypatch.setattr(Tally, "_cold_file", None)
    assert rows(log, tmp_path) == wanted


def test_a_segment_that_grows_is_read_from_where_it_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, path = tmp_path / "log", tmp_path / "log" / "20260101T000000-1-aaaaaa-000001.jsonl"
    log.mkdir()
    first, second = lines(10), lines(6)
    since: list[int] = []
    seen = module.heads
    monkeypatch.setattr(module, "heads", lambda path, *more: since.append(more[0]) or seen(path, *more))
    path.write_bytes(first + second[:50])  # torn, or being written
    assert rows(log, tmp_path) == {OURS: dict.fromkeys(STARTS, 5)}
    path.write_bytes(first + second)
    assert rows(log, tmp_path) == {OURS: dict.fromkeys(STARTS, 8)} and since == [0, len(first)]
    path.write_bytes(lines(4))  # what a write left that failed was taken back
    assert rows(log, tmp_path) == {OURS: dict.fromkeys(STARTS, 2)} and since[-1] == 0


@pytest.mark.parametrize("every", [1, 7, 40])
def test_what_is_drawn_is_the_same_hot_cold_and_in_how_many_files_it_is(tmp_path: Path, every: int) -> None:
    parts = [lines(3000), block(2000), block(1000, STARTS[1]), lines(300, OTHERS)]
    for part in parts:
        write(tmp_path / "many", part)
    write(tmp_path / "one", *parts)
    found: list[set[tuple[str, Any]]] = []
    for name in ("many", "one"):
        with tallied(tmp_path / name, tmp_path) as one:
            found += [drawn(one, OURS, starts, every) for starts in (STARTS[:1], STARTS[1:], STARTS)]
            assert one.hot(OURS) == dict(zip(STARTS, [3500, 2500], strict=True))
    compact(tmp_path / "one")
    with tallied(tmp_path / "one", tmp_path) as one:
        found += [drawn(one, OURS, starts, every) for starts in (STARTS[:1], STARTS[1:], STARTS)]
        assert one.hot(OURS) == {}
    assert found[:3] == found[3:6] == found[6:] and found[0] | found[1] == found[2] and not found[0] & found[1]
    assert len(found[2]) == pytest.approx(6000 / every, rel=0.25)
    every_row = {(row[0], row[1]) for row in Log(tmp_path / "many").sql("select id::VARCHAR, x::DOUBLE from m").rows()}
    assert found[2] <= every_row and (every > 1 or found[2] == every_row)


def test_erased_rows_are_no_rows(tmp_path: Path) -> None:
    log = tmp_path / "log"
    write(log, lines(10), lines(4, key="k"))
    assert rows(log, tmp_path) == {OURS: dict.fromkeys(STARTS, 7)}
    erase(log, "m", "k")
    assert rows(log, tmp_path) == {OURS: dict.fromkeys(STARTS, 5)}
