"""A store as it is after days of service: 100 models and 10 million predictions, cold ones in Parquet and those of the last
minutes in lines, with labels, alarms and accuracy. All but the traffic is made as in service: saved, counted, judged.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shadows import SALVER

MODELS, DAYS = 100, 3
TWICE = 10  # models of two versions
HOT_S = 600  # what is younger lies in lines still
HOT_ROWS = 20_000
ROW: list[Any] = [20.0, 0.4, 12.0, 1.0, 3.0, "north"]
INPUTS = """'{{"amount":{},"share":{},"months":{}.0,"calls":{}.0,"score":{},"region":"{}"}}'"""  # as DuckDB's format has it
OUTPUTS = """'{{"prediction":"{}","probabilities":[{},{}]}}'"""
REGIONS = ("north", "south", "east", "west")


def name_of(at: int) -> str:
    return f"model-{at:03}"


def _version(at: int) -> int:
    return 2 if at < TWICE else 1


def make(store: Path, rows: int) -> None:
    """All of it, in `store`; says how long each step took."""
    for name, step in {"models": _save, "cold": partial(_cold, rows=rows), "hot": _hot, "monitor": _look}.items():
        began = time.monotonic()
        step(store)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)


def _save(store: Path) -> None:
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    import salver
    from salver.artifact.manifest import FILENAME
    from salver.registry.registry import Registry

    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "amount": draw.exponential(20, 2000),
            "share": draw.random(2000),
            "months": draw.integers(0, 60, 2000).astype(float),
            "calls": draw.poisson(1.5, 2000).astype(float),
            "score": draw.normal(3, 1, 2000),
            "region": draw.choice(REGIONS, 2000),
        }
    )
    label = np.where(frame["amount"] / 20 + frame["share"] + draw.normal(0, 1, 2000) > 1.5, "yes", "no")
    numbers = list(frame.columns[:-1])
    columns = make_column_transformer((StandardScaler(), numbers), (OneHotEncoder(handle_unknown="ignore"), ["region"]))
    model = make_pipeline(columns, LogisticRegression()).fit(frame, label)
    salver.save(model, name_of(0), sample=frame, labels=label, store=store, progress=lambda _: None)
    registry = Registry(store)
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(registry.fetch(name_of(0), 1), Path(folder) / "copy")
        saved = json.loads((copy / FILENAME).read_bytes())
        for at in [*range(TWICE), *range(1, MODELS)]:  # the first ones a second time
            (copy / FILENAME).write_text(json.dumps({**saved, "name": name_of(at)}))
            registry.publish(copy)
    for at in range(TWICE):
        registry.promote(f"{name_of(at)}@2", why="the new table")


def _cold(store: Path, rows: int) -> None:
    """Parquet as the log compacts it: the first model has a fifth of the rows, of one in ten an input moves on the last day."""
    from salver.log import signatures
    from salver.log.commit import latest, succeed
    from salver.log.compact import write
    from salver.log.table import LABELLED, PREDICTIONS, Table
    from salver.registry.registry import Registry

    log, registry = store / "log", Registry(store)
    until_us = int((time.time() - HOT_S) * 1e6)
    for at in range(MODELS):
        name = name_of(at)
        signatures.note(log, name, max(registry.versions(name)), registry.manifest(name, 1).signature)
    predictions, labels = Table(log, PREDICTIONS), Table(log, LABELLED)
    few = rows * 8 // 10 // (MODELS - 1)
    for first in range(0, MODELS, 10):
        parts = [_rows(at, rows - few * (MODELS - 1) if at == 0 else few, until_us) for at in range(first, first + 10)]
        relation = " union all ".join(parts)
        made = write(predictions, first + 1, relation)
        succeed(predictions, latest(predictions), added=made)
        given = (
            "select ts + 60000000 as ts, model, id, null::VARCHAR as key, to_json(if(hash(id) % 5 = 0, 'no', 'yes')) as label, "
            f"null::DOUBLE as weight, 'http' as source from ({relation}) where hash(id) % 10 < 3"
        )
        succeed(labels, latest(labels), added=write(labels, first + 1, given))


def _rows(at: int, rows: int, until_us: int) -> str:
    """SQL for a model's predictions over the days, evenly."""
    step_us = DAYS * 86_400 * 1_000_000 / rows
    moved = f" * if(i > {rows * 0.75}, 1.6, 1)" if at % 10 == 3 else ""

    def random(seed: int) -> str:
        return f"((hash(i * 64 + {seed} + {at} * 7919) % 1000003 + 0.5) / 1000003)"

    amount, share = f"round(-20 * ln({random(1)}){moved}, 2)", f"round({random(2)}, 4)"
    normal = f"round(3 + sqrt(-2 * ln({random(3)})) * cos(6.283185 * {random(4)}), 3)"
    chance = f"round({random(5)}, 4)"
    ts = f"({until_us} - (({rows} - i) * {step_us})::BIGINT)"
    made_id = (
        f"(format('{{:012x}}', {ts} // 1000) || '7' || format('{{:03x}}', i % 4096) || 'a' || "
        f"format('{{:015x}}', (i * 128 + {at})))::UUID"
    )
    return (
        f"select {made_id} as id, {ts} as ts, '{name_of(at)}' as model, {_version(at)} as version, 'live' as route, "
        f"'http' as source, (150 + 400 * -ln({random(6)}))::BIGINT as latency_us, "
        f"format({INPUTS}, "
        f"{amount}, {share}, i % 60, (i * 7) % 5, {normal}, {list(REGIONS)}[1 + i % 4])::JSON as inputs, "
        f"format({OUTPUTS}, if({random(5)} > 0.45, 'yes', 'no'), "
        f"round(1 - {chance}, 4), {chance})::JSON as outputs, "
        f"'key-' || (hash(i) % 500000) as key, null::VARCHAR as trace, null::JSON as flags, null::DOUBLE as weight "
        f"from range({rows}) of(i)"
    )


def _hot(store: Path) -> None:
    """Lines of the last minutes, as a worker wrote them."""
    from salver.log.record import Record, encoder

    now_us, draw = time.time_ns() // 1000, np.random.default_rng(1)
    lines: list[Record] = []
    for i in range(HOT_ROWS):
        at = int(draw.integers(0, MODELS)) if i % 5 else 0
        ts = now_us - int((HOT_ROWS - i) * HOT_S * 1e6 / HOT_ROWS)
        made_id = str(uuid.UUID(int=(ts // 1000 << 80) | (7 << 76) | (2 << 62) | i))
        row = dict(zip(("amount", "share", "months", "calls", "score", "region"), ROW, strict=True))
        row["amount"] = round(float(draw.exponential(20)), 2)
        share = round(float(draw.random()), 4)
        outputs = {"prediction": "yes" if share > 0.45 else "no", "probabilities": [round(1 - share, 4), share]}
        lines.append(Record(made_id, ts, name_of(at), _version(at), "live", "http", 300, row, outputs, f"key-{i}", None, None))
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    (store / "log" / f"{stamp}-1-aaaaaa-000001.jsonl").write_bytes(encoder.encode_lines(lines))


def _look(store: Path) -> None:
    subprocess.run([SALVER, "monitor", "--once", "--store", str(store)], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(
        [sys.executable, "-m", "salver.monitors.measured", str(store / "log")], check=True, stdout=subprocess.DEVNULL
    )
