"""A day of traffic as it might have been, for tests and for the pictures in the docs: three models, labels, one promotion that
went wrong, one bad canary. `python -m tests.dashboard.day STORE` makes it.

`credit` was fine until its version 4 was promoted in the morning: it was trained on a table where `income` was yearly, while
its callers send it by the month. `churn` has a canary that is wrong more often. `fraud` is fine. `leads` has just begun.
"""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from salver.log import signatures
from salver.log.record import Record, encoder
from salver.registry.layout import Claim
from salver.registry.registry import Registry
from salver.registry.route import Route
from tests.serving import SALVER

HOUR_US = 3600 * 1_000_000
MORNING = 6
"""Hours ago that version 4 of `credit` was promoted."""
HOURS = 26
HELD = 2000
"""Rows that a model is not trained on, and compared with."""


class Traffic(NamedTuple):
    """Rows of one version by one route, from so many hours ago to so many."""

    version: int
    model: Any
    route: str
    since: float
    until: float
    per_hour: int


def applicants(rows: int, seed: int) -> tuple[pd.DataFrame, NDArray[Any]]:
    """Who asks for credit, and who paid it back."""
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "income": draw.lognormal(8.1, 0.45, rows).round(2),  # by the month
            "debt_ratio": draw.beta(2, 5, rows).round(4),
            "age": draw.integers(19, 78, rows).astype(float),
            "late_payments": draw.poisson(0.7, rows).astype(float),
            "region": draw.choice(["north", "south", "east", "west"], rows, p=[0.4, 0.3, 0.2, 0.1]),
        }
    )
    score = (
        1.7 * (np.log(frame["income"]) - 8.1) - 4 * (frame["debt_ratio"] - 0.28) - 0.7 * (frame["late_payments"] - 0.7) + 0.9
    )
    return frame, np.where(draw.random(rows) < 1 / (1 + np.exp(-score)), "repaid", "default")


def customers(rows: int, seed: int) -> tuple[pd.DataFrame, NDArray[Any]]:
    """Who has a subscription, and who left."""
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "months": draw.integers(1, 72, rows).astype(float),
            "tickets": draw.poisson(1.2, rows).astype(float),
            "plan": draw.choice(["basic", "plus", "pro"], rows, p=[0.5, 0.3, 0.2]),
        }
    )
    score = 0.8 * (frame["tickets"] - 1.2) - 0.04 * (frame["months"] - 36) + 0.7 * (frame["plan"] == "basic") - 0.6
    return frame, np.where(draw.random(rows) < 1 / (1 + np.exp(-score)), "leaves", "stays")


def payments(rows: int, seed: int) -> tuple[pd.DataFrame, NDArray[Any]]:
    """Card payments, and which were fraud."""
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "amount": draw.lognormal(3.4, 1.0, rows).round(2),
            "hour": draw.integers(0, 24, rows).astype(float),
            "country": draw.choice(["DE", "FR", "NL"], rows),
        }
    )
    score = 0.9 * (np.log(frame["amount"]) - 4.4) + 0.8 * (frame["hour"] < 5) - 1.4
    return frame, np.where(draw.random(rows) < 1 / (1 + np.exp(-score)), "fraud", "fine")


Draw = Callable[[int, int], tuple[pd.DataFrame, NDArray[Any]]]


def trained(
    draw: Draw, seed: int, rows: int = 3000, change: Callable[[pd.DataFrame, NDArray[Any]], None] | None = None
) -> tuple[Any, pd.DataFrame, NDArray[Any]]:
    """A pipeline, with the rows and labels that it was not trained on."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    X, y = draw(rows + HELD, seed)
    if change:
        change(X, y)
    columns = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=500)).fit(X[:rows], y[:rows])
    return model, X[rows:].reset_index(drop=True), y[rows:]


def yearly(frame: pd.DataFrame, _: NDArray[Any]) -> None:
    frame["income"] *= 12


def careless(frame: pd.DataFrame, labels: NDArray[Any]) -> None:
    """Half of the labels are no better than chance."""
    draw = np.random.default_rng(5)
    at = draw.random(len(labels)) < 0.62
    labels[at] = draw.permutation(labels[at])


def make_day(store: Path, scale: float = 1.0) -> None:
    """All of it, in `store`: models, routes, log, labels, and what the monitor says of it."""
    import salver

    day = _Day(store, scale)
    made: dict[str, list[Any]] = {"credit": [], "churn": [], "fraud": [], "leads": []}

    def save(name: str, draw: Draw, seed: int, description: str, **more: Any) -> None:
        model, X, y = trained(draw, seed, **more)
        made[name].append(model)
        salver.save(model, name, sample=X, labels=y, store=str(store), description=description, by="ada")

    save("credit", applicants, 1, "First try, on a small sample", rows=300)
    save("credit", applicants, 2, "More rows")
    save("credit", applicants, 3, "The whole year", rows=8000)
    save("credit", applicants, 4, "From the new warehouse table", rows=8000, change=yearly)
    save("churn", customers, 1, "Baseline")
    save("churn", customers, 2, "Tried on relabelled rows", change=careless, rows=500)
    save("fraud", payments, 1, "Card payments")
    save("leads", customers, 7, "Leads of the spring campaign")
    day.began()
    day.route("credit", 3, 60.0, why="first release", promote=3)
    day.route("credit", 4, MORNING, why="trained on the new warehouse table", promote=4)
    day.route("churn", 2, 20.0, why="the new labels", canary=2)
    credit, churn = made["credit"], made["churn"]
    day.write(
        "credit",
        applicants,
        [Traffic(3, credit[2], "live", HOURS, MORNING, 700), Traffic(4, credit[3], "live", MORNING, 0, 900)],
    )
    day.write("churn", customers, [Traffic(1, churn[0], "live", HOURS, 0, 450), Traffic(2, churn[1], "canary", 20, 0, 150)])
    day.write("fraud", payments, [Traffic(1, made["fraud"][0], "live", HOURS, 0, 500)])
    day.write("leads", customers, [Traffic(1, made["leads"][0], "live", 0.4, 0, 200)])
    (store / "log" / "monitor.toml").write_text('[models.credit]\nsegments = ["region"]\n')
    look(store)


def look(store: Path) -> None:
    """Let the monitor look, and measure accuracy, as a server does every minute."""
    subprocess.run([SALVER, "monitor", "--once", "--store", str(store)], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(
        [sys.executable, "-m", "salver.monitors.measured", str(store / "log")], check=True, stdout=subprocess.DEVNULL
    )


def _dated(path: Path, kind: type[Route] | type[Claim], at: str) -> None:
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(msgspec.json.decode(path.read_bytes(), type=kind), at=at)))


class _Day:
    def __init__(self, store: Path, scale: float) -> None:
        self._store = store
        self._scale = scale
        self._registry = Registry(store)
        self._now_us = time.time_ns() // 1000
        self._made = 0

    def began(self) -> None:
        """All that is published was published long ago."""
        at = time.strftime("%Y-%m-%dT09:00:00.000000Z", time.gmtime(self._now_us / 1e6 - 40 * 86_400))
        for folder, kind in (("route", Route), ("claims", Claim)):
            for path in (self._store / "models").glob(f"*/{folder}/*.json"):
                _dated(path, kind, at)

    def route(self, model: str, version: int, hours_ago: float, *, why: str, promote: int = 0, canary: int = 0) -> None:
        """Change a route as it was changed so long ago."""
        reference = f"{model}@{version}"
        if promote:
            self._registry.promote(reference, by="ada", why=why)
        else:
            self._registry.canary(reference, 25, by="ada", why=why)
        number = self._registry.route(model).number
        at = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(self._now_us / 1e6 - hours_ago * 3600))
        path = self._store / "models" / model / "route" / f"{number}.json"
        _dated(path, Route, at)

    def write(self, model: str, draw: Draw, every: Sequence[Traffic]) -> None:
        """Lines of predictions, and labels of most that are an hour old."""
        log = self._store / "log"
        (log / "labels").mkdir(parents=True, exist_ok=True)
        lines: list[Record] = []
        labels: list[dict[str, Any]] = []
        for of in every:
            signature = self._registry.manifest(model, of.version).signature
            signatures.note(log, model, of.version, signature)
            count = int(of.per_hour * (of.since - of.until) * self._scale)
            frame, truth = draw(count, 1000 + self._made)
            shares = of.model.predict_proba(frame)
            classes, answers = of.model.classes_.tolist(), of.model.predict(frame).tolist()
            chance = np.random.default_rng(self._made + 1)
            slow = (chance.lognormal(7.1 if of.version == 4 else 6.6, 0.5, count)).astype(int).tolist()
            at = self._now_us - of.since * HOUR_US + np.sort(chance.random(count)) * (of.since - of.until) * HOUR_US
            known = chance.random(count)
            rows: list[dict[str, Any]] = frame.to_dict("records")  # type: ignore[assignment]
            for i in range(count):
                ts = int(at[i])
                self._made += 1
                made_id = str(uuid.UUID(int=(ts // 1000 << 80) | (7 << 76) | (2 << 62) | self._made))
                outputs = {"prediction": answers[i], "probabilities": [round(float(p), 6) for p in shares[i]]}
                key = f"customer-{chance.integers(1, 5000)}"
                flags = {
                    column.name: "out_of_range"
                    for column in signature.columns
                    if column.low is not None
                    and column.high is not None
                    and not column.low <= rows[i][column.name] <= column.high
                }
                lines.append(
                    Record(
                        made_id, ts, model, of.version, of.route, "http", slow[i], rows[i], outputs, key, None, flags or None
                    )
                )
                if known[i] < 0.7 and ts < self._now_us - HOUR_US:
                    given = min(ts + int(HOUR_US * (0.5 + known[i])), self._now_us)
                    labels.append({"ts": given, "model": model, "id": made_id, "label": str(truth[i]), "source": "http"})
            assert classes
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        (log / f"{stamp}-{self._made}-aaaaaa-000001.jsonl").write_bytes(encoder.encode_lines(lines))
        if labels:
            (log / "labels" / f"{stamp}-{self._made}-aaaaaa-000001.jsonl").write_bytes(
                msgspec.json.Encoder().encode_lines(labels)
            )


if __name__ == "__main__":
    make_day(Path(sys.argv[1]))
