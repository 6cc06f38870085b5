"""The monitor over a real log: counted once whoever is killed, judged by its rule, told to a real webhook."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from salver.errors import ConfigError
from salver.log import signatures
from salver.log.compact import compact
from salver.log.record import Record, encoder
from salver.monitors.calibration import Calibration
from salver.monitors.profile import Profile, profile_of
from salver.monitors.results import FOLDER, Watched, read_last, read_results
from salver.monitors.settings import Channel, ModelSettings, Settings, read_settings
from salver.monitors.store import Store, Track
from salver.monitors.watch import look, promote
from salver.types.signature import Column, Output, Signature
from tests.serving import SALVER

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # Apprise imports it where there is one

HOUR_US = 3600 * 1_000_000
START_US = 1_700_000_000_000_000 // HOUR_US * HOUR_US
SIGNATURE = Signature(
    (Column("a"), Column("A", nullable=True), Column("k", "category", categories=("x", "y"), nullable=True)),
    (Output("prediction", "int64", classes=("no", "yes")), Output("probabilities", "float64", (2,))),
    "classification",
)


def drawn(rows: int, seed: int, shift: float = 0.0) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Inputs, the probability of "yes", and what turned out to be true."""
    draw = np.random.default_rng(seed)
    a = draw.normal(size=rows) + shift
    p = 1 / (1 + np.exp(-2 * a))
    names = np.array(["x", "y", None], dtype=object)[draw.choice(3, rows, p=[0.6, 0.3, 0.1])]
    return {"a": a, "A": draw.normal(size=rows), "k": names}, p, (draw.random(rows) < p).astype(int)


def reference() -> Profile:
    columns, p, labels = drawn(5000, 0)
    outputs = {"prediction": (p > 0.5).astype(int), "probabilities": np.stack([1 - p, p]).T}
    from salver.monitors.performance import performance

    return profile_of(SIGNATURE, columns, outputs, labels, performance=performance(SIGNATURE, outputs, labels))


def write(
    log: Path, hours: range, rows: int = 600, shift: float = 0.0, wrong: bool = False, workers: int = 1, version: int = 1
) -> None:
    """Lines of so many workers, and labels of all rows."""
    signatures.note(log, "m", version, SIGNATURE)
    lines: list[list[Record]] = [[] for _ in range(workers)]
    labels: list[dict[str, Any]] = []
    for hour in hours:
        columns, p, truth = drawn(rows, hour + 1, shift)
        plain, p = {name: array.tolist() for name, array in columns.items()}, p.tolist()
        for i in range(rows):
            ts = START_US + hour * HOUR_US + i * HOUR_US // rows
            made_id = str(uuid.UUID(int=(ts // 1000 << 80) | (7 << 76) | (2 << 62) | (hour * rows + i)))
            said, row = int(p[i] > 0.5), {name: array[i] for name, array in plain.items()}
            outputs = {"prediction": ("no", "yes")[said], "probabilities": [1 - p[i], p[i]]}
            lines[i % workers].append(Record(made_id, ts, "m", version, "live", "http", 9, row, outputs))
            told = int(1 - truth[i]) if wrong else int(truth[i])
            labels.append({"ts": ts + 1, "model": "m", "id": made_id, "label": ("no", "yes")[told], "source": "http"})
    (log / "labels").mkdir(parents=True, exist_ok=True)
    for worker, records in enumerate(lines):
        name = f"20260101T0000{hours[0]:02}-{worker}-aaaaaa-000001.jsonl"
        (log / name).write_bytes(encoder.encode_lines(records))
    (log / "labels" / f"20260101T0000{hours[0]:02}-0-aaaaaa-000001.jsonl").write_bytes(
        msgspec.json.Encoder().encode_lines(labels)
    )


def looked(log: Path, settings: Settings | None = None, profile: Profile | None = None, until: int = 200) -> list[Watched]:
    found = profile or reference()
    return look(log, settings or Settings(), lambda model, version: found, START_US + until * HOUR_US)


def counts(log: Path) -> bytes:
    """All that was counted, as bytes."""
    store = Store(log)
    try:
        return b"".join(window.to_bytes() for track in store.tracks() for window in store.slices(track))
    finally:
        store.close()


def test_one_worker_or_four_hot_or_cold_to_the_same_bytes(tmp_path: Path) -> None:
    for workers, name in ((1, "one"), (4, "four")):
        write(tmp_path / name, range(3), workers=workers)
    compact(tmp_path / "four")
    one, four = (looked(tmp_path / name) for name in ("one", "four"))
    assert counts(tmp_path / "one") == counts(tmp_path / "four")
    assert one == four
    assert one[0].rows == 1800 and len(one[0].windows) == 3
    assert not [finding for window in one[0].windows for finding in window.findings if finding.level != "ok"]


LOOKS = f"""
import sys, msgspec
from contextlib import contextmanager
from pathlib import Path
from salver.monitors import slices, tally
from salver.monitors.profile import Profile
from salver.monitors.settings import Settings
from salver.monitors.store import Store
from salver.monitors.watch import look

whole = Store.changing

@contextmanager
def changing(self):
    with whole(self):
        yield
    print("changed", flush=True)

Store.changing = changing
slices._AT_ONCE = 120  # two slices at a time, so that there are many moments to be killed at
tally._SAVED = 1
made = msgspec.json.decode(Path(sys.argv[2]).read_bytes(), type=Profile)
look(Path(sys.argv[1]), Settings(), lambda model, version: made, {START_US + 200 * HOUR_US})
"""


def progress(log: Path) -> tuple[int, int]:
    """How many files, and how many slices, have been counted."""
    store = Store(log)
    try:
        return len(store.files()), sum(len(store.counted(track)) for track in store.tracks())
    finally:
        store.close()


def test_rows_are_counted_once_whenever_it_is_killed(tmp_path: Path) -> None:
    for name in ("log", "whole"):
        write(tmp_path / name, range(6), workers=4)
    (tmp_path / "reference.json").write_bytes(msgspec.json.encode(reference()))
    command = [Path(SALVER).with_name("python"), "-c", LOOKS, tmp_path / "log", tmp_path / "reference.json"]
    draw, halfway = np.random.default_rng(), set[tuple[int, int]]()
    while True:
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE)
        assert process.stdout
        for _ in range(draw.integers(4, 10)):  # of some forty transactions
            process.stdout.readline()
        try:
            process.wait(draw.uniform(0, 0.02))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        if process.returncode == 0:
            break
        halfway.add(progress(tmp_path / "log"))
    assert len(halfway) > 2, "it was killed at different moments"
    write(tmp_path / "log", range(6, 7))  # and rows come while nobody looks
    killed = looked(tmp_path / "log")
    write(tmp_path / "whole", range(6, 7))
    assert killed == looked(tmp_path / "whole")
    assert counts(tmp_path / "log") == counts(tmp_path / "whole")
    assert looked(tmp_path / "log") == killed, "looking again changes nothing"


def test_rows_that_come_late_are_counted_and_judged_again(tmp_path: Path) -> None:
    write(tmp_path, range(2), workers=2)
    late = next(tmp_path.glob("*-1-*.jsonl")).rename(tmp_path / "late")
    assert looked(tmp_path)[0].rows == 600
    late.rename(tmp_path / "20260101T000099-1-aaaaaa-000001.jsonl")
    assert looked(tmp_path)[0].rows == 1200
    write(tmp_path / "whole", range(2), workers=2)
    looked(tmp_path / "whole")
    assert counts(tmp_path) == counts(tmp_path / "whole")


@contextmanager
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A real HTTP server that keeps what it is sent."""
    got: list[dict[str, Any]] = []

    class Keep(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Keep)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"json://127.0.0.1:{server.server_port}/", got
    finally:
        server.shutdown()
        server.server_close()


def test_drift_and_concept_drift_are_alarms_of_their_own(tmp_path: Path) -> None:
    from salver.monitors.channels import tell

    write(tmp_path, range(4))
    write(tmp_path, range(4, 8), shift=0.8)
    write(tmp_path, range(8, 12), wrong=True)
    (watched,) = found = looked(tmp_path, until=12)
    by = {(alarm.kind, alarm.column): alarm for alarm in watched.alarms}
    drift, concept = by["drift", "a"], by["concept", "prediction"]
    assert drift.since_us == START_US + 4 * HOUR_US and drift.until_us == START_US + 11 * HOUR_US
    assert ("score", "prediction") in by and ("drift", "A") not in by and ("drift", "k") not in by
    assert concept.since_us == START_US + 8 * HOUR_US and concept.until_us is None
    for window in watched.windows[:8]:
        assert window.realised and abs(window.estimated["accuracy"].value - window.realised.value) < 0.06
    store = Store(tmp_path)
    with webhook() as (url, got):
        settings = Settings(channels=[Channel(url)])
        sent = tell(store, settings, found, START_US + 12 * HOUR_US)
        assert [notice.alarm.id for notice in sent] == [concept.id], "what has ended before it was told is not told"
        assert "concept" in got[0]["title"] and "salver log query" in got[0]["message"] and "since 2023" in got[0]["message"]
        assert tell(store, settings, found, START_US + 12 * HOUR_US) == [], "once"
        concept.until_us = START_US + 13 * HOUR_US
        assert tell(store, settings, found, START_US + 13 * HOUR_US)[0].ended
        assert "resolved" in got[1]["title"] and len(got) == 2
    store.close()


def test_a_version_that_another_replaced_is_not_missed_but_a_model_that_nobody_asks_is(tmp_path: Path) -> None:
    write(tmp_path, range(30), rows=60)
    write(tmp_path, range(30, 34), rows=60, version=2)

    def traffic(hour: int) -> list[tuple[int, str]]:
        found = looked(tmp_path, until=hour)
        return [(one.version, alarm.kind) for one in found for alarm in one.alarms if alarm.kind in ("stale", "volume")]

    assert traffic(34) == []
    assert traffic(38) == [(2, "stale")]
    write(tmp_path, range(38, 39), rows=6, version=2)
    assert traffic(39) == [(2, "volume")]


def test_what_can_not_be_told_is_told_later(tmp_path: Path) -> None:
    from salver.monitors.channels import tell

    write(tmp_path, range(4), wrong=True)
    found = looked(tmp_path, until=4)
    store = Store(tmp_path)
    assert tell(store, Settings(channels=[Channel("json://127.0.0.1:9/")]), found, 1) == []
    assert store.told() == {}
    with webhook() as (url, got):
        assert len(tell(store, Settings(channels=[Channel(url)]), found, 2)) == 1 == len(got)
    with pytest.raises(ConfigError):
        tell(Store(tmp_path / "other"), Settings(channels=[Channel("nothing")]), found, 1)
    store.close()


def test_without_a_reference_the_first_rows_become_one(tmp_path: Path) -> None:
    write(tmp_path, range(2))
    settings = Settings(first_rows=1500, models={"m": ModelSettings(segments=("k",))})
    (waiting,) = look(tmp_path, settings, lambda model, version: None, START_US + 3 * HOUR_US)
    assert waiting.needs_rows == 300 and "first rows" in waiting.state
    write(tmp_path, range(2, 6))
    found = look(tmp_path, settings, lambda model, version: None, START_US + 7 * HOUR_US)
    whole = next(one for one in found if not one.segment)
    assert whole.reference == "first rows" and whole.reference_rows >= 1500
    assert {one.segment for one in found} == {"", "k=x", "k=y"}
    assert whole.measure == "accuracy", "calibrated by the labels of its first rows"
    rows = promote(tmp_path, settings, "m", 1, START_US, START_US + 4 * HOUR_US)
    assert rows == 2400
    (again, *_) = look(tmp_path, settings, lambda model, version: None, START_US + 7 * HOUR_US)
    assert again.reference == "window" and again.rows == 1200


def test_the_first_rows_are_those_whatever_is_cold(tmp_path: Path) -> None:
    settings = Settings(first_rows=1500)
    for name, cold in (("hot", 0), ("cold", 4), ("mixed", 2)):
        for hours in filter(None, (range(cold), range(cold, 4))):
            write(tmp_path / name, hours)
            if hours[-1] < cold:
                compact(tmp_path / name)
        look(tmp_path / name, settings, lambda model, version: None, START_US + 7 * HOUR_US)
    made: list[Profile] = []
    for name in ("hot", "cold", "mixed"):
        store = Store(tmp_path / name)
        found = store.reference("m", 1)
        assert found is not None and found.profile.rows == 1500
        made.append(found.profile)
        store.close()
    assert msgspec.json.encode(made[0]) == msgspec.json.encode(made[1]) == msgspec.json.encode(made[2])


def test_a_version_without_a_live_row_has_its_reference_by_the_route_it_has(tmp_path: Path) -> None:
    write(tmp_path, range(4))
    for path in tmp_path.glob("*.jsonl"):
        path.write_bytes(path.read_bytes().replace(b'"route":"live"', b'"route":"shadow"'))
    found = look(tmp_path, Settings(first_rows=1500), lambda model, version: None, START_US + 7 * HOUR_US)
    assert {(one.route, one.reference, one.reference_rows) for one in found} == {("shadow", "first rows", 1500)}


def test_rows_as_large_as_pictures_are_counted_in_bounded_memory(tmp_path: Path) -> None:
    """DuckDB parses two thousand rows at once if it may, in one of which are a hundred thousand numbers here."""
    signatures.note(tmp_path, "m", 1, Signature((Column("a"), Column("pixels", "float32", (100_000,))), SIGNATURE.outputs))
    pixels = [round(pixel, 3) for pixel in np.random.default_rng(0).random(100_000).tolist()]
    row = Record("ID", START_US, "m", 1, "live", "http", 9, {"a": 0.5, "pixels": pixels}, {"prediction": "no"})
    line = encoder.encode(row) + b"\n"
    for part in range(8):
        ids = (str(uuid.UUID(int=(START_US // 1000 << 80) | (7 << 76) | (2 << 62) | (part * 60 + i))) for i in range(60))
        path = tmp_path / f"20260101T000000-0-aaaaaa-00000{part}.jsonl"
        path.write_bytes(b"".join(line.replace(b'"ID"', f'"{made}"'.encode()) for made in ids))
    settings = Settings(first_rows=300, slice="1m")
    look(tmp_path, settings, lambda model, version: None, START_US + 2 * HOUR_US)
    compacted = compact(tmp_path)
    assert compacted is not None and compacted.rows == 480
    assert promote(tmp_path, settings, "m", 1, START_US, START_US + HOUR_US) == 480


def test_a_judged_window_has_the_counts_of_its_slices_and_a_list_needs_few_windows(tmp_path: Path) -> None:
    write(tmp_path, range(5))
    (one,) = looked(tmp_path, until=6)
    store = Store(tmp_path)
    for seen in one.windows:
        window = store.window(Track("m", 1, "live"), seen.start_us)
        assert window is not None
        assert (window.start_us, window.end_us, window.rows) == (seen.start_us, seen.end_us, seen.rows)
    assert store.window(Track("m", 1, "live"), one.windows[-1].end_us) is None
    assert dict(enumerate([600] * 5)) == {hour: rows for _, hour, rows in store.answered(START_US, HOUR_US)}
    store.close()
    (short,) = read_last(tmp_path)
    assert [seen.start_us for seen in short.windows] == [one.windows[0].start_us, one.windows[-1].start_us]
    assert (short.windows[-1], short.alarms, short.rows) == (one.windows[-1], one.alarms, one.rows)


def test_the_command_shows_what_there_is(tmp_path: Path) -> None:
    write(tmp_path / "log", range(2))
    command = [SALVER, "monitor", "--once", "--json", "--store", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (one,) = json.loads(done.stdout)
    assert one["state"].startswith("collecting") and one["needs_rows"] == 5000 - 1200
    assert read_results(tmp_path / "log")[0].rows == 1200
    unknown = subprocess.run([*command[:2], "--silence", "x", "--store", str(tmp_path)], capture_output=True, text=True)
    assert unknown.returncode == 1 and "no alarm of that name" in unknown.stderr


def test_settings_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    assert read_settings(tmp_path) == Settings()
    (tmp_path / "monitor.toml").write_text('window = "soon"')
    with pytest.raises(ConfigError):
        read_settings(tmp_path)
    for wrong in ("windows = 3", 'slice = "7m"', 'slice = "0s"', "rows_a_slice = 0"):
        (tmp_path / "monitor.toml").write_text(wrong)
        with pytest.raises(ConfigError):
            read_settings(tmp_path)
    (tmp_path / "monitor.toml").write_text('window = "6h"\n[rule]\nwarn = 0.05\n[models.m]\nsegments = ["k"]\n')
    assert read_settings(tmp_path).rule.warn == 0.05


def test_slices_of_another_length_are_counted_anew(tmp_path: Path) -> None:
    write(tmp_path, range(2))
    looked(tmp_path)
    for minutes in (1, 15):
        (watched,) = looked(tmp_path, Settings(slice=f"{minutes}m"))
        assert watched.rows == 1200 and len(watched.windows) == 2
        store = Store(tmp_path)
        assert len(store.counted(store.tracks()[0])) == 120 // minutes
        store.close()


def test_of_a_slice_with_many_rows_a_part_is_counted_and_weighed(tmp_path: Path) -> None:
    for name, workers in (("one", 1), ("three", 3)):
        write(tmp_path / name, range(2), rows=12_000, workers=workers)
        (watched,) = looked(tmp_path / name, Settings(rows_a_slice=300, slice="1h"))
        assert watched.rows == 24_000 and len(watched.windows) == 2
        assert not watched.alarms
    assert counts(tmp_path / "one") == counts(tmp_path / "three"), "whoever wrote them, the same rows are counted"
    store = Store(tmp_path / "one")
    slices = store.slices(store.tracks()[0])
    store.close()
    window = slices[0]
    assert window.rows == 12_000 and window.design_effect == 40 and window.weight == 40 * window.counted
    assert window.weight == pytest.approx(12_000, rel=0.25)
    assert all(seen.counted == window.weight // 40 for seen, window in zip(watched.windows, slices, strict=True))
    assert all(counted.sum() == window.weight for counted in window.counts.values())


def test_who_looks_beside_a_server_looks_when_a_slice_is_over(tmp_path: Path) -> None:
    write(tmp_path / "log", range(1))
    stamps: list[float] = []
    for setting in ("1h", "1h", "1s"):
        (tmp_path / "log" / "monitor.toml").write_text(f'slice = "{setting}"')
        while setting == "1s" and time.time() < stamps[-1] + 1.1:
            time.sleep(0.05)  # until a slice of a second is over
        subprocess.run([SALVER, "monitor", "--beside", "--store", str(tmp_path)], check=True)
        stamps.append((tmp_path / "log" / FOLDER / "looked").stat().st_mtime)
    assert stamps[0] == stamps[1] < stamps[2]


def test_names_of_what_is_watched() -> None:
    assert isinstance(reference().calibration, Calibration)
    assert str(Track("m", 1, "live", "k=x")) == "m@1/live/k=x"
