"""A model in an application: the same answers as the original's, in the shape of the question."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression

import salver
from salver.errors import ConfigError, InputError, NotFound
from salver.log.reader import read_records

X, Y = load_iris(return_X_y=True, as_frame=True)
NAMES = list(X.columns)
ROW = [5.1, 3.5, 1.4, 0.2]
LABELS = np.array(["setosa", "versicolor", "virginica"])[Y]


@pytest.fixture(scope="module")
def original() -> Any:
    return LogisticRegression(max_iter=1000).fit(X, LABELS)


@pytest.fixture(scope="module")
def store(original: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("store")
    salver.save(original, "iris", sample=X, labels=LABELS, store=store)
    return store


@pytest.fixture
def iris(store: Path) -> Any:
    with salver.load("iris@champion", store=store) as model:
        yield model


NAMED = dict(zip(NAMES, ROW, strict=True))


@pytest.mark.parametrize("row", [ROW, NAMED, dict(reversed(NAMED.items()))])
def test_one_row_gets_one_value(iris: Any, row: Any, original: Any) -> None:
    frame = pd.DataFrame([ROW], columns=NAMES)
    assert iris.predict(row) == original.predict(frame)[0] == "setosa"
    probabilities = iris.predict_proba(row)
    if isinstance(row, dict):
        assert list(probabilities) == ["setosa", "versicolor", "virginica"]
        probabilities = list(probabilities.values())
    assert probabilities == pytest.approx(original.predict_proba(frame)[0].tolist())


def test_many_rows_get_their_counterpart(iris: Any, original: Any) -> None:
    want, chances = original.predict(X).tolist(), original.predict_proba(X)
    array, rows = X.to_numpy(), X.to_numpy().tolist()
    assert iris.predict(rows) == want
    assert iris.predict([dict(zip(NAMES, row, strict=True)) for row in rows]) == want
    assert iris.predict([list(row) for row in array]) == want, "numpy's own scalars in lists"
    answered = iris.predict(array)
    assert isinstance(answered, np.ndarray) and answered.tolist() == want
    shuffled = X.sample(frac=1, random_state=3)[NAMES[::-1]]
    series = iris.predict(shuffled)
    assert isinstance(series, pd.Series) and series.index.equals(shuffled.index)
    assert series.sort_index().tolist() == want
    assert isinstance(iris.predict(pl.from_pandas(X)), pl.Series)
    assert iris.predict(pl.from_pandas(X)).to_list() == want
    assert iris.predict(pa.Table.from_pandas(X)).to_pylist() == want
    np.testing.assert_allclose(iris.predict_proba(array), chances, rtol=1e-9)
    frame = iris.predict_proba(X)
    assert list(frame.columns) == ["setosa", "versicolor", "virginica"]
    np.testing.assert_allclose(frame.to_numpy(), chances, rtol=1e-9)


@pytest.mark.parametrize(
    "row",
    [[1.0, 2.0], ["a", 1.0, 2.0, 3.0], [float("nan"), 1.0, 2.0, 3.0], [10**400, 1.0, 2.0, 3.0], {"no": 1.0}, "text", None],
)
def test_what_does_not_fit_is_refused_by_name(iris: Any, row: Any) -> None:
    with pytest.raises(InputError) as refused:
        iris.predict(row)
    assert "text" not in str(refused.value)


def test_a_number_is_a_number_however_it_is_written(iris: Any) -> None:
    assert iris.predict([5, 3, 1, 0]) == iris.predict([5.0, 3.0, 1.0, 0.0])


def test_a_regressor_has_no_probabilities(store: Path) -> None:
    forest = RandomForestRegressor(5, random_state=0).fit(X, Y)
    salver.save(forest, "forest", sample=X, labels=Y, store=store)
    with salver.load("forest", store=store) as model:
        assert model.predict(ROW) == pytest.approx(forest.predict(pd.DataFrame([ROW], columns=NAMES))[0])
        with pytest.raises(InputError, match="no probabilities"):
            model.predict_proba(ROW)


def test_what_is_not_there_is_not_found(store: Path, tmp_path: Path) -> None:
    for reference in ("iris@7", "iris@nobody", "no-such-model"):
        with pytest.raises(NotFound):
            salver.load(reference, store=store)
    folder = store / "models" / "iris" / "versions" / "1"
    with salver.load(folder) as model:
        assert model.predict(ROW) == "setosa"
    with pytest.raises(ConfigError):
        salver.load(folder, follow=True)


def test_predictions_are_logged_with_the_callers_keys(store: Path, tmp_path: Path) -> None:
    with salver.load("iris", store=store, log=tmp_path / "log") as model:
        one = model.predict(ROW, keys="order-1")
        many = model.predict(X.head(2), keys=["order-2", None])
        with pytest.raises(InputError, match="keys"):
            model.predict(X.head(2), keys=["only one"])
    records = list(read_records(tmp_path / "log"))
    assert [record.outputs["prediction"] for record in records] == [one, *many]
    assert [record.key for record in records] == ["order-1", "order-2", None]
    assert {(record.model, record.version, record.source) for record in records} == {("iris", 1, "embedded")}
    assert records[0].inputs == NAMED


def test_an_alias_is_followed_while_others_predict(original: Any, tmp_path: Path) -> None:
    salver.save(original, "iris", sample=X, labels=LABELS, store=tmp_path)
    other = LogisticRegression(C=0.01, max_iter=1000).fit(X, LABELS)
    salver.save(other, "iris", sample=X, labels=LABELS, store=tmp_path)
    registry = salver.Registry(tmp_path)
    with salver.load("iris@champion", store=tmp_path, follow=True, every_s=0.02) as model:
        assert model.version == 1
        stop, wrong = threading.Event(), list[BaseException]()

        def predict() -> None:
            while not stop.is_set():
                try:
                    assert model.predict(ROW) == "setosa"
                except BaseException as error:
                    wrong.append(error)
                    return

        threads = [threading.Thread(target=predict) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for version in (2, 1, 2):
                registry.promote(f"iris@{version}")
                deadline_s = time.monotonic() + 20
                while model.version != version and time.monotonic() < deadline_s:
                    time.sleep(0.01)
                assert model.version == version
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert not wrong


def test_a_version_that_can_not_be_woken_never_takes_over(original: Any, tmp_path: Path, caplog: Any) -> None:
    salver.save(original, "iris", sample=X, labels=LABELS, store=tmp_path)
    other = LogisticRegression(C=0.01, max_iter=1000).fit(X, LABELS)
    salver.save(other, "iris", sample=X, labels=LABELS, store=tmp_path)
    broken = tmp_path / "models" / "iris" / "versions" / "2"
    (broken / "golden.json").chmod(0o644)
    (broken / "golden.json").write_text("{}")
    with salver.load("iris@champion", store=tmp_path, follow=True, every_s=0.02) as model:
        salver.Registry(tmp_path).promote("iris@2")
        deadline_s = time.monotonic() + 20
        while not caplog.records and time.monotonic() < deadline_s:
            time.sleep(0.01)
        assert "goes on answering" in caplog.text
        assert model.version == 1 and model.predict(ROW) == "setosa"


def test_no_training_library_is_loaded(store: Path) -> None:
    code = f"""
import sys, salver
model = salver.load("iris", store={str(store)!r})
assert model.predict({ROW}) == "setosa"
loaded = {{name.partition(".")[0] for name in sys.modules}}
assert not loaded & {{"sklearn", "pandas", "scipy", "polars", "pyarrow", "joblib", "uvicorn", "starlette"}}, loaded
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.alone
def test_a_row_costs_little_more_than_the_runtime(store: Path) -> None:
    with salver.load("iris", store=store) as model:
        runtime = model._awake.model._runtime  # what is measured against
        inputs = {"X": np.array([ROW])}
        extra_us = min(_us(lambda: model.predict(ROW)) - _us(lambda: runtime.predict(inputs)) for _ in range(20))
    assert extra_us <= 15


def _us(call: Any) -> float:
    """The least CPU time of a call, in µs."""
    best = float("inf")
    for _ in range(10):
        start = time.process_time_ns()
        for _ in range(200):
            call()
        best = min(best, (time.process_time_ns() - start) / 200e3)
    return best
