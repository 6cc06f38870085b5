"""How long a monitor takes to count a long log, on one core, and how much memory.

`python -m benchmarks.profiled [--rows 10000000]`. Cold rows of 40 columns, 32 of them numbers, in an hour: a million
that differ, in as many files as it takes. The monitor begins with nothing counted. Once every row of a slice is counted, once
no more than `rows_a_slice`, as by default.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from benchmarks.tables import fill
from salver.log import signatures
from salver.log.commit import ColdFile, latest, succeed
from salver.log.compact import write
from salver.log.table import PREDICTIONS, Table
from salver.monitors.profile import profile_of
from salver.monitors.results import FOLDER
from salver.monitors.settings import Settings
from salver.monitors.watch import look
from salver.types.signature import Column, Output, Signature

PAGE = Path(__file__).resolve().parents[1] / "docs" / "measured.md"
COLUMNS, NUMBERS = 40, 32
DIFFERENT = 1_000_000
START_US = 1_760_000_000_000_000 // 86_400_000_000 * 86_400_000_000
NAMES = "abcdefgh"
SIGNATURE = Signature(
    tuple(Column(f"x{i}") if i < NUMBERS else Column(f"x{i}", "category", categories=tuple(NAMES)) for i in range(COLUMNS)),
    (Output("prediction", "int64", classes=("no", "yes")), Output("probabilities", "float64", (2,))),
    "classification",
)


class Counted(NamedTuple):
    """What a look took: wall time, time of the processor, the most memory held, and how many rows it told of."""

    wall_s: float
    cpu_s: float
    memory_mb: float
    rows: int


def make(log: Path, rows: int) -> None:
    """A cold log. Numbers have four digits after the point, as much as data has that was measured."""
    log.mkdir(parents=True)
    signatures.note(log, "m", 1, SIGNATURE)
    table, each = Table(log, PREDICTIONS), min(rows, DIFFERENT)
    values = [f"'x{i}', " + (_NUMBER if i < NUMBERS else _NAME) for i in range(COLUMNS)]
    columns = (
        f"{START_US} + i * {3_600_000_000 // each} as ts, format('{{:012x}}70008000{{:012x}}', ts // 1000, i)::UUID as id, "
        f"'m' as model, 1 as version, 'live' as route, 'http' as source, 9 as latency_us, json_object({', '.join(values)}) as "
        "inputs, null::VARCHAR as key, null::VARCHAR as trace, null::JSON as flags, null::DOUBLE as weight, "
        "round(random(), 4) as p"
    )
    outputs = "json_object('prediction', if(p > 0.5, 'yes', 'no'), 'probabilities', [round(1 - p, 4), p]) as outputs"
    made = write(table, 1, f"select *, {outputs} from (select {columns} from range({each}) as made(i))")
    again = [_linked(table, file, at) for file in made for at in range(1, rows // each)]
    succeed(table, latest(table), added=[*made, *again])


_NUMBER = "round(random() + random() + random(), 4)"
_NAME = f"{list(NAMES)}[1 + (8 * random())::INTEGER % 8]"


def _linked(table: Table, file: ColdFile, at: int) -> ColdFile:
    """The same file once more."""
    path = table.folder / file.path
    other = path.with_name(f"{path.stem}-{at}.parquet")
    other.hardlink_to(path)
    return msgspec.structs.replace(file, path=other.relative_to(table.folder).as_posix())


def counted(log: Path, rows_a_slice: int) -> Counted:
    """A look at the whole log, in a process of its own on one core."""
    command = [
        "taskset",
        "-c",
        "1",
        sys.executable,
        "-m",
        "benchmarks.profiled",
        "--look",
        str(log),
        "--slice",
        str(rows_a_slice),
    ]
    return Counted(*json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def _look(log: Path, rows_a_slice: int) -> Counted:
    draw = np.random.default_rng(0)
    columns = {
        column.name: draw.random((3, 10_000)).sum(axis=0)
        if column.is_number
        else draw.choice(np.array(list(NAMES), object), 10_000)
        for column in SIGNATURE.columns
    }
    p = draw.random(10_000)
    outputs = {"prediction": (p > 0.5).astype(np.int64), "probabilities": np.stack([1 - p, p]).T}
    profile = profile_of(SIGNATURE, columns, outputs, (draw.random(10_000) < p).astype(np.int64))
    begun, settings = time.perf_counter(), Settings(rows_a_slice=rows_a_slice)
    (watched,) = look(log, settings, lambda model, version: profile, START_US + 86_400_000_000)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Counted(time.perf_counter() - begun, used.ru_utime + used.ru_stime, _most_memory_mb(), watched.rows)


def _most_memory_mb() -> float:
    """The most that was held since this program began; getrusage knows no less than what its parent had."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--rows", type=int, default=10_000_000)
    given.add_argument("--write", action="store_true", help="fill the table in docs/measured.md")
    given.add_argument("--look", type=Path, help=argparse.SUPPRESS)
    given.add_argument("--slice", type=int, default=Settings().rows_a_slice, help=argparse.SUPPRESS)
    options = given.parse_args()
    if options.look:
        print(json.dumps(_look(options.look, options.slice)))
        return
    lines = ["| rows of 40 columns | counted of a slice | time | processor | memory |", "|--:|---|--:|--:|--:|"]
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "log"
        make(log, options.rows)
        for told, at_most in (("all", 2**62), (f"at most {Settings().rows_a_slice:,}", Settings().rows_a_slice)):
            shutil.rmtree(log / FOLDER, ignore_errors=True)
            found = counted(log, at_most)
            lines.append(f"| {found.rows:,} | {told} | {found.wall_s:.0f} s | {found.cpu_s:.0f} s | {found.memory_mb:.0f} MB |")
            print(lines[-1], flush=True)
    if options.write:
        fill(PAGE, "profiled", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
