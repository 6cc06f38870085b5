"""The heads of lines, read as arrays, against the same lines decoded one by one."""

from __future__ import annotations

import itertools
import random
import uuid
from pathlib import Path

import numpy as np
import pytest

from salver.log import heads as module
from salver.log.blocks import records
from salver.log.duck import connect
from salver.log.heads import PLACE, Origin, bound, heads, place, places
from salver.log.reader import whole
from salver.log.record import encoder
from tests.log.rows import IDS, record
from tests.log.test_blocks import batch, columns, request, written

BLOCK = written(batch(request(columns())))

ODD = (
    b"\n",
    b" " * 60 + b"\n",  # blanked
    b'{"id":"' + b"\n",
    b'{"model":"m","ts":5,"route":"live","version":1,"id":"018f0000-0000-7000-8000-000000000001","source":"x","latency_us":1,"inputs":{},"outputs":{}}\n',
    b'{"id":"018f0000-0000-7000-8000-000000000001","ts":1760000000000000,"model":7,"version":1,"route":"live"}\n',
)


def lines() -> list[bytes]:
    """Lines of several models, some of whose names JSON escapes or that are in a row's own values; and some that are none."""
    draw = random.Random(0)
    sneaky = {"model": "m", "version": "1", "x": '","model":"other","version":2,"route":"live",'}
    made = [
        record(one, model=draw.choice(["m", "m", 'q"\\ž', "m" * 900]), version=draw.choice([1, 12])) for one in IDS.batch(300)
    ]
    made += [
        record(str(uuid.UUID(int=draw.getrandbits(128))), route="shadow", inputs=sneaky, ts=draw.randint(0, 10**15))
        for _ in range(50)
    ]
    found = [encoder.encode(one) + b"\n" for one in made] + [*ODD, BLOCK]
    draw.shuffle(found)
    return found


def told(path: Path) -> list[tuple[Origin, int, int, int]]:
    return [
        (some.origins[of], ts, rows, at)
        for some in heads(path)
        for of, ts, rows, at in zip(some.of.tolist(), some.ts.tolist(), some.rows.tolist(), some.places.tolist(), strict=True)
    ]


@pytest.mark.parametrize("chunk", [2**9, 2**13, 2**22])
def test_heads_say_what_the_lines_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(module, "_CHUNK", chunk)
    path, given = tmp_path / "a.jsonl", lines()
    path.write_bytes(b"".join(given) + b'{"id":"018f0000-0000-7000-8000-00000')  # torn
    wanted: list[tuple[Origin, int, int, int]] = []
    for line in given:
        of = list(records([line]))
        if of:
            at = place(of[0].id) if len(of) == 1 else 0
            wanted.append((Origin(of[0].model, of[0].version, of[0].route), of[0].ts, len(of), at))
    assert told(path) == wanted
    assert whole(path, path.stat().st_size) == sum(map(len, given))


def test_lines_are_found_again_where_heads_say_that_they_are(tmp_path: Path) -> None:
    path, given = tmp_path / "a.jsonl", lines()
    path.write_bytes(b"".join(given))
    data, since = path.read_bytes(), len(given[0] + given[1])
    (found,) = heads(path, since)
    assert b"".join(data[begin:end] for begin, end in found.runs()) == b"".join(
        line for line in given[2:] if list(records([line]))
    )
    kept = found.at(found.places < bound(3))
    assert kept.rows.sum() < found.rows.sum() and (kept.rows > 1).any(), "blocks always"
    of_block = {one.id for one in records([BLOCK])}
    ids = [one.id for begin, end in kept.runs() for one in records(data[begin:end].split(b"\n"))]
    assert [place(one) for one in ids if one not in of_block] == [at for at in kept.places.tolist() if at]


def test_a_place_is_the_same_wherever_it_is_worked_out() -> None:
    ids = [*IDS.batch(50), *(str(uuid.uuid4()) for _ in range(50)), str(uuid.UUID(int=0)), str(uuid.UUID(int=2**128 - 1))]
    with connect() as connection:
        found = connection.execute(f"select {PLACE} from (select unnest(?)::UUID as id)", [ids]).fetchall()
    assert [place(one) for one in ids] == [row[0] for row in found] == places(ids).tolist()


def test_one_of_so_many_is_drawn_and_they_are_spread() -> None:
    """Of batches of one row by chance; of a large batch evenly, wherever it begins."""
    alone = places([IDS.batch(1)[0] for _ in range(20_000)])
    assert np.mean(alone < bound(20)) == pytest.approx(1 / 20, abs=0.008)  # five standard deviations
    for _ in range(20):
        drawn = np.flatnonzero(places(IDS.batch(4000)) < bound(20))
        assert len(drawn) == pytest.approx(200, abs=4)
        assert max(b - a for a, b in itertools.pairwise(drawn.tolist())) <= 40


def test_what_is_drawn_of_many_is_among_what_is_drawn_of_few() -> None:
    found = places([IDS.batch(1)[0] for _ in range(2000)])
    assert not ((found < bound(32)) & ~(found < bound(17))).any()


def test_an_empty_segment_has_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for content in (b"", b"torn"):
        path.write_bytes(content)
        assert list(heads(path)) == [] and whole(path, path.stat().st_size) == 0
    path.write_bytes(b"\n")
    assert [len(some.of) for some in heads(path)] == [0] and next(heads(path)).runs() == []
